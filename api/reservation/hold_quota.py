"""Refuses buyers who hold more places of an event than they pay for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.redis.hold_quota import HoldQuota
from db.engine import autocommit
from db.reservation.bookings import bookings
from domain.bookings import PAID, BookingRequest
from domain.problems import ProblemType, Refused

_MAY_BE_HELD: Final = {
    ProblemType.OUTCOME_UNKNOWN,
    ProblemType.IDEMPOTENCY_KEY_REUSED,  # by a request with another body, at the same moment
}


@asynccontextmanager
async def counted(hold_quota: HoldQuota, engine: AsyncEngine, request: BookingRequest) -> AsyncIterator[None]:
    """Count a hold while it is made. A refused hold does not count; one whose outcome is unknown does.

    Raises:
        Refused: The user holds too many of the event's places, or has given up too many.
    """
    wait = await _admit(hold_quota, request)
    if wait:
        await _count_ends(hold_quota, engine, request)
        wait = await _admit(hold_quota, request)
    if wait:
        detail = "You have held as many bookings of this event as you may without paying. Pay for one, or wait."
        raise Refused(ProblemType.TOO_MANY_HOLDS, detail, retry_after=wait)
    try:
        yield
    except Refused as refusal:
        if refusal.problem.type not in _MAY_BE_HELD:
            await hold_quota.forget(request.user_id, request.event_id, request.id)
        raise


async def _admit(hold_quota: HoldQuota, request: BookingRequest) -> int:
    return await hold_quota.admit(request.user_id, request.event_id, request.id, request.hold_seconds)


async def _count_ends(hold_quota: HoldQuota, engine: AsyncEngine, request: BookingRequest) -> None:
    """Forget bookings that ended while no API process waited: paid after 3-D Secure, or expired. Their rows say so."""
    known = await hold_quota.counted(request.user_id, request.event_id)
    async with autocommit(engine) as connection:
        ended = await bookings.ended(connection, known)
    for booking_id, status in ended.items():
        forget = hold_quota.forget if status in PAID else hold_quota.let_go
        await forget(request.user_id, request.event_id, booking_id)
