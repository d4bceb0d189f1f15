"""Bookings that their key has made already: answered from the row, or by the saga, which may have to be revived."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.bookings import bookings, requests
from domain.bookings import OVER, Booking, BookingPolicy, BookingRequest

_GRACE: Final = timedelta(seconds=30)


class Repeated(NamedTuple):
    """A booking, and the request that made it.

    Attributes:
        may_be_forsaken: It has not ended although its time is up: its workflow pays for it, waits for an operator, or
            was terminated, and then handing in the request again revives it.
    """

    booking: Booking
    request: BookingRequest
    may_be_forsaken: bool


async def find_repeated(connection: AsyncConnection, booking_id: UUID, policy: BookingPolicy) -> Repeated | None:
    """The booking, judged by the database's clock, or None where there is none yet."""
    booking = await bookings.find(connection, booking_id)
    if booking is None:
        return None
    request, overdue = await requests.request_of(connection, booking, grace=_GRACE)
    return Repeated(
        booking, request.model_copy(update={"policy": policy}), may_be_forsaken=overdue and booking.status not in OVER
    )
