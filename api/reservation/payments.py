"""Payments over REST: pay for a booking, come back from the payment provider, or abandon a payment."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from api.auth.guards import PUBLIC, Buyer
from api.http.idempotency import IdempotencyKey
from api.http.problems import documented
from api.http.query_guard import ANY_QUERY
from api.reservation.buyer_returns import buyer_returned
from api.reservation.commands import cancel, pay
from api.reservation.context import Reservation
from api.reservation.reads import require_booking, with_details
from api.reservation.schemas import PaymentBody
from domain.booking_details import BookingDetails
from domain.bookings import BookingStatus
from domain.problems import ProblemType
from workflows.ids import booking_workflow_id

router = APIRouter(prefix="/v1/bookings/{booking_id}/payment", tags=["bookings"])

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Seatwright</title></head>
<body><h1>Thank you</h1><p>{words}</p></body></html>
"""
_WORDS = {
    BookingStatus.CONFIRMED: "Your booking is confirmed. You can close this page.",
    BookingStatus.HELD: "The payment was not made. Your places are still held: go back to the shop and pay again.",
    BookingStatus.PAYING: "Your payment is in progress. You can close this page and go back to the shop.",
    BookingStatus.ACTION_REQUIRED: "We are asking your bank. You can close this page and go back to the shop.",
}
_CLOSED = "This booking is closed. Go back to the shop to see how it ended."


@router.post(
    "",
    name="pay_for_booking",
    summary="Pay for a booking",
    responses={
        202: {
            "model": BookingDetails,
            "description": "The buyer has to act at `next_action.url`. Then the booking goes on by itself.",
        },
        **documented(
            ProblemType.PAYMENT_DECLINED,
            ProblemType.NOT_FOUND,
            ProblemType.PAYMENT_IN_PROGRESS,
            ProblemType.UNKNOWN_PROVIDER,
            ProblemType.AMOUNT_NOT_PAYABLE,
            ProblemType.OUTCOME_UNKNOWN,
        ),
    },
)
async def post_payment(
    booking_id: UUID, body: PaymentBody, user: Buyer, context: Reservation, response: Response, key: IdempotencyKey
) -> BookingDetails:
    """One key pays once, however often it is sent. A decline (402) keeps the seats: pay again with a new key."""
    answer = await pay.pay(context, user, booking_id, body, key)
    response.status_code = answer.status
    return answer.body


@router.get(
    "/return",
    response_class=HTMLResponse,
    dependencies=[PUBLIC, ANY_QUERY],
    name="return_from_payment",
    summary="Come back from the payment provider",
)
@router.post(
    "/return",
    response_class=HTMLResponse,
    dependencies=[PUBLIC, ANY_QUERY],
    name="return_from_payment_by_form",
    summary="Come back from the payment provider, by a form",
)
async def come_back(booking_id: UUID, context: Reservation) -> HTMLResponse:
    """The provider sends the buyer's browser here. The booking then asks the provider, at most every five seconds.

    It needs no token, shows nothing secret, and trusts nothing in the request.
    """
    booking = await require_booking(context, booking_id)
    if booking.status is BookingStatus.ACTION_REQUIRED:
        await buyer_returned(context, booking_id, booking_workflow_id(booking_id))
    words = _WORDS.get(booking.status, _CLOSED)
    return HTMLResponse(_PAGE.format(words=words), headers={"Cache-Control": "no-store"})


@router.delete(
    "",
    name="abandon_payment",
    summary="Abandon a payment that waits for you",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.PAYMENT_IN_PROGRESS, ProblemType.OUTCOME_UNKNOWN),
)
async def delete_payment(booking_id: UUID, user: Buyer, context: Reservation) -> BookingDetails:
    """End the payment and keep the places, to pay in another way. Without a payment it is no error."""
    return await with_details(context, await cancel.abandon_payment(context, user, booking_id))
