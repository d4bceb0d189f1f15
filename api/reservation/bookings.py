"""Bookings over REST: hold, read, cancel, list; a repeated call with the same key has the same outcome."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response, status

from api.auth.guards import BookingReader, Buyer
from api.http.idempotency import IdempotencyKey
from api.http.problems import documented
from api.reservation.commands import cancel, hold
from api.reservation.context import Reservation
from api.reservation.reads import ReadableBooking, page_of
from api.reservation.schemas import BookingBody
from domain.bookings import Booking
from domain.problems import ProblemType

router = APIRouter(prefix="/v1", tags=["bookings"])

_PAGE = 50


@router.post(
    "/bookings",
    name="hold",
    status_code=status.HTTP_201_CREATED,
    summary="Hold seats",
    responses=documented(
        ProblemType.UNAUTHENTICATED,
        ProblemType.SEATS_UNAVAILABLE,
        ProblemType.EVENT_NOT_ON_SALE,
        ProblemType.UNKNOWN_SEATS,
        ProblemType.AMOUNT_NOT_PAYABLE,
        ProblemType.IDEMPOTENCY_KEY_REUSED,
        ProblemType.TOO_MANY_HOLDS,
        ProblemType.OUTCOME_UNKNOWN,
    ),
)
async def post_booking(
    body: BookingBody, user: Buyer, context: Reservation, response: Response, key: IdempotencyKey
) -> Booking:
    """Hold all the places, or none: a 409 names the places that other buyers have."""
    booking = await hold.hold(context, user, body, key)
    response.headers["Location"] = f"/v1/bookings/{booking.id}"
    return booking


@router.get(
    "/bookings/{booking_id}", name="look", summary="Read a booking", responses=documented(ProblemType.NOT_FOUND)
)
async def get_booking(booking: ReadableBooking) -> Booking:
    """The booking as it is now."""
    return booking


@router.delete(
    "/bookings/{booking_id}",
    name="cancel",
    summary="Cancel a booking that is not paid",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.REFUND_REQUIRED, ProblemType.WRONG_STATE),
)
async def delete_booking(booking_id: UUID, user: Buyer, context: Reservation) -> Booking:
    """Let the seats go. A payment in flight is waited for and undone. Cancelling twice is no error."""
    return await cancel.cancel(context, user, booking_id)


@router.get("/me/bookings", name="mine", summary="List my bookings, newest first")
async def get_my_bookings(user: BookingReader, context: Reservation, cursor: UUID | None = None) -> dict[str, Any]:
    """Pages of 50. Send `next_cursor` as `cursor` to read the next page."""
    page = await page_of(context, user.user_id, after=cursor, limit=_PAGE)
    return {"bookings": page, "next_cursor": page[-1].id if len(page) == _PAGE else None}
