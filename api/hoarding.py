"""The answer to those who hold more than they buy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.hoarding import Hoarding
from domain.bookings import BookingRequest
from domain.problems import ProblemType, Refused


@asynccontextmanager
async def counted(hoarding: Hoarding, request: BookingRequest) -> AsyncIterator[None]:
    """Count a hold while it is made; one that comes to nothing does not count, one whose outcome is unknown does.

    Raises:
        Refused: The user holds too many of the event's places, or has let go of too many.
    """
    wait = await hoarding.admit(request.user_id, request.event_id, request.id, request.hold_seconds)
    if wait:
        detail = "You have held as many bookings of this event as you may without paying; pay, or wait."
        raise Refused(ProblemType.TOO_MANY_HOLDS, detail, retry_after=wait)
    try:
        yield
    except Refused as refusal:
        if refusal.problem.type is not ProblemType.OUTCOME_UNKNOWN:
            await hoarding.forget(request.user_id, request.event_id, request.id)
        raise
