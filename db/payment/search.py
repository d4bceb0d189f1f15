"""Finds payment attempts by the provider's id of the payment or of a message, or by a booking."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.payment.tables import AttemptRow, WebhookRow

_LIMIT = 50


class FoundAttempt(NamedTuple):
    """An attempt as support sees it; the amount is in minor units of the currency."""

    booking_id: UUID
    number: int
    exchange_id: UUID | None
    provider: str
    provider_id: str | None
    state: str
    amount: int
    currency: str
    decline_code: str | None


_ATTEMPTS = select(
    AttemptRow.booking_id,
    AttemptRow.number,
    AttemptRow.exchange_id,
    AttemptRow.provider,
    AttemptRow.intent_id.label("provider_id"),
    AttemptRow.state,
    AttemptRow.amount,
    AttemptRow.currency,
    AttemptRow.decline_code,
)


async def find(
    connection: AsyncConnection, *, provider_id: str | None = None, booking_id: UUID | None = None
) -> list[FoundAttempt]:
    """The attempts of a booking, or with an id that a provider has given; newest first, at most 50."""
    if booking_id is not None:
        chosen = AttemptRow.booking_id == booking_id
    else:
        messages = select(WebhookRow.intent_id).where(WebhookRow.event_id == provider_id)
        chosen = (AttemptRow.intent_id == provider_id) | AttemptRow.intent_id.in_(messages)
    rows = await connection.execute(_ATTEMPTS.where(chosen).order_by(AttemptRow.opened_at.desc()).limit(_LIMIT))
    return [FoundAttempt(**row._mapping) for row in rows]
