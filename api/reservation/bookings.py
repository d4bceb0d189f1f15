"""Bookings over REST: hold, read, cancel, list; a repeated call with the same key has the same outcome."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from api.auth.guards import BookingReader, Buyer
from api.http.idempotency import IdempotencyKey
from api.http.problems import documented
from api.reservation.commands import cancel, hold
from api.reservation.context import Reservation
from api.reservation.reads import ReadableBooking, page_of
from api.reservation.schemas import BookingBody
from api.reservation.views import BookingPage
from domain.bookings import Booking
from domain.problems import ProblemType

router = APIRouter(prefix="/v1", tags=["bookings"])

_PAGE = 50

Cursor = Annotated[UUID | None, Query(description="The `next_cursor` of the previous page.")]


@router.post(
    "/bookings",
    name="hold_seats",
    status_code=status.HTTP_201_CREATED,
    summary="Hold seats",
    responses=documented(
        ProblemType.UNAUTHENTICATED,
        ProblemType.SEATS_UNAVAILABLE,
        ProblemType.EVENT_NOT_ON_SALE,
        ProblemType.UNKNOWN_SEATS,
        ProblemType.IDEMPOTENCY_KEY_REUSED,
        ProblemType.TOO_MANY_HOLDS,
        ProblemType.OUTCOME_UNKNOWN,
    ),
)
async def post_booking(
    body: BookingBody, user: Buyer, context: Reservation, response: Response, key: IdempotencyKey
) -> Booking:
    """Hold all the places, or none: a 409 names the places that other buyers have."""
    booking = await hold.hold(context, user.user_id, body, key)
    response.headers["Location"] = f"/v1/bookings/{booking.id}"
    return booking


@router.get(
    "/bookings/{booking_id}", name="get_booking", summary="Read a booking", responses=documented(ProblemType.NOT_FOUND)
)
async def get_booking(booking: ReadableBooking) -> Booking:
    """The booking as it is now."""
    return booking


@router.delete(
    "/bookings/{booking_id}",
    name="cancel_booking",
    summary="Cancel a booking that is not paid",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.REFUND_REQUIRED, ProblemType.WRONG_STATE),
)
async def delete_booking(booking_id: UUID, user: Buyer, context: Reservation) -> Booking:
    """Let the seats go. A payment in flight is waited for and undone. Cancelling twice is no error."""
    return await cancel.cancel(context, user, booking_id)


@router.get("/me/bookings", name="list_my_bookings", summary="List my bookings, newest first")
async def get_my_bookings(user: BookingReader, context: Reservation, cursor: Cursor = None) -> BookingPage:
    """Pages of 50. Send `next_cursor` as `cursor` to read the next page."""
    page = await page_of(context, user.user_id, after=cursor, limit=_PAGE)
    return BookingPage(bookings=page, next_cursor=page[-1].id if len(page) == _PAGE else None)
