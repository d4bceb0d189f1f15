"""Where payment steps run is set for new bookings: those that are open keep their place for them, and end as usual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stack import Stack
from tests.buyer import CARD_WITH_3DS
from tests.platform_client import PlatformClient

pytestmark = pytest.mark.disruptive


@asynccontextmanager
async def remote_workers(stack: Stack) -> AsyncIterator[None]:
    """Workers that still have the payment secrets, while new bookings are paid on the payment queue."""
    await asyncio.to_thread(stack.stop, "work")
    try:
        await asyncio.to_thread(stack.spawn, "work-remote", "work", env={"SEATWRIGHT_PAYMENT_STEPS": "remote"})
        yield
    finally:
        await asyncio.to_thread(stack.kill, "work-remote")
        await asyncio.to_thread(stack.up, "work")


async def test_open_bookings_are_paid_after_the_payment_steps_were_moved(
    platform: PlatformClient, stack: Stack
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    held, cancelled, challenged = [await buyer.held(event, seat) for seat in ("A-1-1", "A-1-2", "A-1-3")]
    answers = [await buyer.pay(booking, CARD_WITH_3DS) for booking in (cancelled, challenged)]
    assert [answer.status_code for answer in answers] == [202, 202]
    async with remote_workers(stack):
        await platform.provider.act(answers[1].json()["next_action"]["url"], "approve")
        await buyer.ends_as(challenged, "confirmed")
        assert (await buyer.cancel(cancelled)).status_code == 200
        assert (await buyer.pay(held)).status_code == 200
    assert await platform.provider.kept(cancelled) == 0
