"""A conversation with a payment provider inside an activity: it heartbeats, and waits as the provider asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.exceptions import ApplicationError

from activities.heartbeats import heartbeating
from domain.payment_gateway import CONVERSATION, IS_URGENT, Conversation
from domain.payments import PaymentUnknown

_LONGEST_ASKED_DELAY = 20.0  # seconds


@asynccontextmanager
async def conversation(*, is_urgent: bool = False) -> AsyncIterator[None]:
    """Heartbeat while we wait for the provider, and come back no sooner than it asks.

    Args:
        is_urgent: A buyer and seats wait for it, so that its calls go first where the provider's calls are limited.
    """
    before, none = IS_URGENT.set(is_urgent), CONVERSATION.set(Conversation())
    try:
        async with heartbeating():
            yield
    except PaymentUnknown as unknown:
        raise ApplicationError(
            str(unknown), type="PaymentUnknown", next_retry_delay=_asked_delay(unknown.retry_after)
        ) from unknown
    finally:
        IS_URGENT.reset(before)
        CONVERSATION.reset(none)


def _asked_delay(seconds: float | None) -> timedelta | None:
    """What the provider asks for, within reason, because the seats are held during the wait."""
    if seconds is None or not seconds >= 0:  # also what is not a number
        return None
    return timedelta(seconds=min(seconds, _LONGEST_ASKED_DELAY))
