"""Loads an event from Postgres into a Redis that does not have it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.redis.seat_locks import Claims, SeatLocks
from db.reservation import offers
from db.reservation.bookings import taken_places
from domain.problems import Refused

REDIS_OUTLASTS_HOLD = timedelta(seconds=90)
"""How much longer Redis keeps a hold than the workflow's timer, which is what ends it."""


async def load_event(engine: AsyncEngine, locks: SeatLocks, event_id: UUID, payment_window: timedelta) -> bool:
    """Load the event, for the caller that has the turn.

    Args:
        engine: The reservation service's database.
        locks: Redis.
        event_id: The event.
        payment_window: How long a payment may take: for so long Redis keeps the places of a booking that is being paid.

    Returns:
        False if something changed while Postgres was read: read it again.

    Raises:
        Refused: The event is not on sale, or no longer. Its keys may have ended, and none are set again.
    """
    change = await locks.latest_change(event_id)
    try:
        sale, claims = await _read(engine, event_id, payment_window)
    except Refused:
        await locks.stop_loading(event_id)  # so that the callers that wait for this load are refused, too
        raise
    return await locks.load(event_id, change, claims, sale.starts_at)


async def _read(engine: AsyncEngine, event_id: UUID, payment_window: timedelta) -> tuple[offers.Sale, Claims]:
    async with engine.connect() as connection:
        sale = await offers.find_sale(connection, event_id)
        seats = await taken_places.seat_claims(connection, event_id, payment_window)
        general = await taken_places.general_claims(connection, event_id, payment_window)
        ended = await taken_places.lately_ended(connection, event_id)
    return sale, Claims(
        {name: section.capacity for name, section in sale.sections.items() if section.kind == "general"},
        [(claim.place, claim.booking_id, _redis_ttl(claim.left)) for claim in seats],
        [(claim.place, claim.booking_id, claim.quantity, _redis_ttl(claim.left)) for claim in general],
        ended,
    )


def _redis_ttl(left: timedelta | None) -> timedelta | None:
    return None if left is None else max(left, timedelta(0)) + REDIS_OUTLASTS_HOLD
