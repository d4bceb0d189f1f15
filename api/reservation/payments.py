"""What a buyer whom the payment provider asks to act can do at ours: come back from there, or pay otherwise instead."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.auth.guards import PUBLIC, Buyer
from api.http.problems import documented
from api.http.signals import notify_workflow
from api.reservation import commands
from api.reservation.bookings import Reservation, find_booking, over, own_booking, standing
from api.reservation.commands import WorkflowClosed
from domain.bookings import Booking, BookingStatus, CancelOutcome
from domain.problems import ProblemType, Refused
from workflows.ids import booking_workflow_id

router = APIRouter(prefix="/v1/bookings/{booking_id}/payment", tags=["bookings"])

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Seatwright</title></head>
<body><h1>Thank you</h1><p>{words}</p></body></html>
"""
_WORDS = {
    BookingStatus.CONFIRMED: "Your booking is confirmed. You can close this page.",
    BookingStatus.HELD: "The payment was not made; your places are still held. Go back to the shop to pay otherwise.",
    BookingStatus.PAYING: "Your payment is being made. You can close this page and go back to the shop.",
    BookingStatus.ACTION_REQUIRED: "We are asking your bank. You can close this page and go back to the shop.",
}
_OVER = "This booking is closed. Go back to the shop to see how it ended."


@router.get(
    "/return",
    response_class=HTMLResponse,
    dependencies=[PUBLIC],
    summary="Where the provider sends the browser back to",
)
@router.post(
    "/return",
    response_class=HTMLResponse,
    dependencies=[PUBLIC],
    name="come_back_by_form",
    summary="Likewise, by a form",
)
async def come_back(booking_id: UUID, context: Reservation) -> HTMLResponse:
    """Has the saga ask the provider at once. Needs no token, tells no secret, and believes nothing that it is sent."""
    booking = await find_booking(context, booking_id)
    if booking is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such booking.")
    if booking.status is BookingStatus.ACTION_REQUIRED:
        await notify_workflow(context.temporal, booking_workflow_id(booking_id))
    words = _WORDS.get(booking.status, _OVER)
    return HTMLResponse(_PAGE.format(words=words), headers={"Cache-Control": "no-store"})


@router.delete(
    "",
    summary="Abandon a payment that waits for you",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.PAYMENT_IN_PROGRESS, ProblemType.OUTCOME_UNKNOWN),
)
async def abandon(booking_id: UUID, user: Buyer, context: Reservation) -> Booking:
    """Ends the payment and keeps the places held, to pay otherwise. Abandoning what is not there is no error."""
    booking = await own_booking(user, context, booking_id)
    if booking.status is not BookingStatus.ACTION_REQUIRED:
        return _held(booking)
    try:
        outcome = await commands.abandon(context.temporal, booking, wait=context.settings.payment_wait)
    except WorkflowClosed:
        outcome = CancelOutcome()
    except Refused as refusal:
        if refusal.problem.type is not ProblemType.WRONG_STATE:
            raise
        outcome = CancelOutcome()  # it has just gone on without us
    return outcome.booking or _held(await standing(context, booking_id))


def _held(booking: Booking) -> Booking:
    if booking.status is BookingStatus.HELD:
        return booking
    if booking.status in (BookingStatus.PAYING, BookingStatus.ACTION_REQUIRED):
        raise Refused(ProblemType.PAYMENT_IN_PROGRESS, "The payment is being made.", booking_id=str(booking.id))
    raise over(booking)
