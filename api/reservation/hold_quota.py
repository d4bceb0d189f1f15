"""Refuses buyers who hold more places of an event than they pay for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

from adapters.redis.hold_quota import Hold
from api.auth.tokens import Principal
from api.edge.rate_limits import address_of
from api.reservation.context import ReservationContext
from db.engine import autocommit
from db.reservation.bookings import bookings
from domain.bookings import PAID, BookingRequest
from domain.problems import ProblemType, Refused

_MAY_BE_HELD: Final = {
    ProblemType.OUTCOME_UNKNOWN,
    ProblemType.IDEMPOTENCY_KEY_REUSED,  # by a request with another body, at the same moment
}


@asynccontextmanager
async def counted(
    context: ReservationContext, buyer: Principal, request: BookingRequest, event_places: int
) -> AsyncIterator[None]:
    """Count a hold while it is made. A refused hold does not count; one whose outcome is unknown does.

    A request whose hold is refused by an earlier request's saga begins it again (`commands/hold.py`). It is counted
    until then, and needs no second admission: the earlier request does not take out a count that another one needs.

    Raises:
        Refused: The user, all users at the address, or all users without a confirmed email address hold too much of
            the event, or the user has given up too much, or the hold is more than the last could ever have.
    """
    hold = _hold(context, buyer, request, event_places)
    _check_proof(context, hold)
    wait = await context.hold_quota.admit(hold)
    if wait:
        await _note_ends(context, hold)
        wait = await context.hold_quota.admit(hold)
    wait = wait or await context.hold_quota.admit_unproven(hold)  # the workers record its ends: there are none to note
    if wait:
        raise _too_many(hold, wait)
    try:
        yield
    except Refused as refusal:
        if refusal.problem.type in _MAY_BE_HELD:
            await context.hold_quota.leave_counted(hold)
        else:
            await context.hold_quota.never_held(hold)
        raise


def _hold(context: ReservationContext, buyer: Principal, request: BookingRequest, event_places: int) -> Hold:
    return Hold(
        user_id=buyer.user_id,
        event_id=request.event_id,
        event_places=event_places,
        booking_id=request.id,
        places=len(request.seats) + sum(request.quantities.values()),
        hold_seconds=request.hold_seconds,
        address=address_of(context.recorder.request.scope),
        is_proven=buyer.is_proven,
        request_id=str(uuid4()),
    )


def _check_proof(context: ReservationContext, hold: Hold) -> None:
    """No wait makes room for a hold that is larger than what all unproven users together may have."""
    most = context.hold_quota.most_unproven(hold)
    if most is not None and hold.places > most:
        detail = f"More than {most} places of this event need a confirmed email address"
        raise Refused(ProblemType.FORBIDDEN, f"{detail}: confirm it, then log in again, or hold fewer.")


def _too_many(hold: Hold, wait: int) -> Refused:
    together, remedy = "all buyers at your network address", "Pay for a booking, or wait."
    if not hold.is_proven:
        together += ", or all who have not confirmed their email addresses,"
        remedy = "Pay for a booking, confirm your email address and log in again to hold more, or wait."
    detail = f"You, or {together} together, have too many unpaid places of this event."
    return Refused(ProblemType.TOO_MANY_HOLDS, f"{detail} {remedy}", retry_after=wait)


async def _note_ends(context: ReservationContext, hold: Hold) -> None:
    """Forget bookings that ended while no API process waited: paid after 3-D Secure, or expired. Their rows say so."""
    known = await context.hold_quota.counted(hold)
    async with autocommit(context.engine) as connection:
        ended = await bookings.ended(connection, known)
    await context.hold_quota.note_ends(hold, {id: status in PAID for id, status in ended.items()})
