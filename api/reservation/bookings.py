"""Bookings over REST: hold, read, cancel, list; a repeated call with the same key has the same outcome."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response, status

from api.auth.guards import BookingReader, Buyer
from api.http.idempotency import IdempotencyKey
from api.http.problems import documented
from api.reservation.commands import cancel, hold
from api.reservation.context import Reservation
from api.reservation.reads import ReadableBooking, find_details, no_such_booking, page_of, with_details
from api.reservation.schemas import BookingBody
from api.reservation.views import BookingPage
from db.reservation.bookings import history
from domain.booking_details import BookingDetails
from domain.bookings import BookingStatus
from domain.problems import ProblemType, Refused

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
        ProblemType.FORBIDDEN,
        ProblemType.SEATS_UNAVAILABLE,
        ProblemType.EVENT_NOT_ON_SALE,
        ProblemType.UNKNOWN_SEATS,
        ProblemType.AMOUNT_NOT_PAYABLE,
        ProblemType.IDEMPOTENCY_KEY_REUSED,
        ProblemType.TOO_MANY_HOLDS,
        ProblemType.WRONG_STATE,
        ProblemType.OUTCOME_UNKNOWN,
    ),
)
async def post_booking(
    body: BookingBody, user: Buyer, context: Reservation, response: Response, key: IdempotencyKey
) -> BookingDetails:
    """Hold all the places, or none: a 409 names the places that other buyers have."""
    booking = await hold.hold(context, user, body, key)
    response.headers["Location"] = f"/v1/bookings/{booking.id}"
    return await with_details(context, booking)


@router.get(
    "/bookings/{booking_id}", name="get_booking", summary="Read a booking", responses=documented(ProblemType.NOT_FOUND)
)
async def get_booking(booking: ReadableBooking, context: Reservation) -> BookingDetails:
    """The booking as it is now: its event, tickets and prices, what is under way, and what its buyer can do next."""
    details = await find_details(context, booking.id)
    if details is None:
        raise no_such_booking()
    return details


@router.delete(
    "/bookings/{booking_id}",
    name="cancel_booking",
    summary="Cancel a booking that is not paid",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.REFUND_REQUIRED, ProblemType.WRONG_STATE),
)
async def delete_booking(booking_id: UUID, user: Buyer, context: Reservation) -> BookingDetails:
    """Release the seats. A payment in progress is waited for and undone. Cancelling twice is no error."""
    return await with_details(context, await cancel.cancel(context, user, booking_id))


async def _wanted(
    status: Annotated[list[BookingStatus] | None, Query(description="Only bookings in one of these states.")] = None,
    starts_from: Annotated[
        date | None, Query(alias="from", description="The event begins on this day at its venue, or later.")
    ] = None,
    starts_until: Annotated[
        date | None, Query(alias="to", description="The event begins on this day at its venue, or earlier.")
    ] = None,
) -> history.Wanted:
    if starts_from and starts_until and starts_from > starts_until:
        raise Refused(
            ProblemType.INVALID_REQUEST,
            "query.from: must not be after `to`.",
            errors=[{"field": "query.from", "message": "must not be after `to`"}],
        )
    return history.Wanted(tuple(status or ()), starts_from, starts_until)


@router.get(
    "/me/bookings",
    name="list_my_bookings",
    summary="List my bookings, newest first",
    responses=documented(ProblemType.INVALID_REQUEST),
)
async def get_my_bookings(
    user: BookingReader,
    context: Reservation,
    wanted: Annotated[history.Wanted, Depends(_wanted)],
    cursor: Cursor = None,
) -> BookingPage:
    """Pages of 50. Send `next_cursor` as `cursor`, with the same filters, to read the next page."""
    page = await page_of(context, user.user_id, wanted, after=cursor, limit=_PAGE)
    return BookingPage(bookings=page, next_cursor=page[-1].id if len(page) == _PAGE else None)
