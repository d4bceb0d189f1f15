"""Finds what an Idempotency-Key has made already: answered from the row, or by the saga, which may be lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.bookings import bookings, requests
from domain.bookings import OVER, Booking, BookingPolicy, BookingRequest, BookingStatus

_GRACE: Final = timedelta(seconds=30)


class Replay(NamedTuple):
    """A repeated call: the booking that its key has made, and the request that made it.

    Attributes:
        may_be_lost: The booking has not ended although its time is up. Its saga is paying, or was terminated; then the
            request starts it again. One that waits for an operator is left alone: each further call would be one of the
            2000 that a saga takes, and one of those is the operator's.
    """

    booking: Booking
    request: BookingRequest
    may_be_lost: bool


async def find_replay(connection: AsyncConnection, booking_id: UUID, policy: BookingPolicy) -> Replay | None:
    """The booking, judged by the database's clock, or None where there is none yet."""
    booking = await bookings.find(connection, booking_id)
    if booking is None:
        return None
    request, overdue = await requests.request_of(connection, booking, grace=_GRACE)
    return Replay(
        booking,
        request.model_copy(update={"policy": policy}),
        may_be_lost=overdue and booking.status not in OVER | {BookingStatus.NEEDS_ATTENTION},
    )
