"""Cancel a booking that is not paid, or abandon the payment that waits for its buyer and keep the seats."""

from __future__ import annotations

from collections.abc import Awaitable
from uuid import UUID

from api.auth.tokens import Principal
from api.http.deadlines import with_deadline
from api.http.sagas import WorkflowClosed
from api.reservation import booking_saga
from api.reservation.answers import closed, refusal_of
from api.reservation.context import ReservationContext
from api.reservation.reads import current_booking, own_booking
from db.engine import autocommit
from db.reservation.bookings import bookings
from domain.bookings import Booking, BookingStatus, CancelOutcome
from domain.problems import ProblemType, Refused


async def cancel(context: ReservationContext, buyer: Principal, booking_id: UUID) -> Booking:
    """Release the seats; a payment in progress is waited for and undone. A cancelled booking is answered as it is.

    Raises:
        Refused: The booking is paid, has ended otherwise, or the outcome is not known.
    """
    booking = await own_booking(buyer, context, booking_id)
    if booking.status is BookingStatus.CANCELLED:
        return booking
    await with_deadline(_request_cancellation(context, booking_id))
    wait = context.settings.payment_wait
    outcome = await _outcome(booking_saga.cancel(context.temporal, booking_id, wait=wait))
    # Temporal remembers the first answer, which may have been given while the saga waited for an operator.
    cancelled = outcome.booking or _cancelled(await current_booking(context, booking_id))
    await context.hold_quota.let_go(buyer.user_id, booking.event_id, booking_id)
    return cancelled


async def abandon_payment(context: ReservationContext, buyer: Principal, booking_id: UUID) -> Booking:
    """End the payment that waits for its buyer. A booking that is held without one is answered as it is.

    Raises:
        Refused: The payment is in progress, the booking has ended, or the outcome is not known.
    """
    booking = await own_booking(buyer, context, booking_id)
    if booking.status is not BookingStatus.ACTION_REQUIRED:
        return _held(booking)
    outcome = await _outcome(booking_saga.abandon(context.temporal, booking, wait=context.settings.payment_wait))
    return outcome.booking or _held(await current_booking(context, booking_id))


async def _request_cancellation(context: ReservationContext, booking_id: UUID) -> None:
    async with autocommit(context.engine) as connection:
        await bookings.ask_to_cancel(connection, booking_id)


async def _outcome(answer: Awaitable[CancelOutcome]) -> CancelOutcome:
    """The saga's answer; empty where the booking has just gone on without it, so that its row has to say."""
    try:
        return await answer
    except WorkflowClosed:
        return CancelOutcome()
    except Refused as refused:
        if refused.problem.type is not ProblemType.WRONG_STATE:
            raise
        return CancelOutcome()


def _cancelled(booking: Booking) -> Booking:
    if booking.status is BookingStatus.CANCELLED:
        return booking
    if booking.status is BookingStatus.NEEDS_ATTENTION:
        raise refusal_of(booking, ProblemType.WRONG_STATE, "The booking waits for our support.")
    raise closed(booking)


def _held(booking: Booking) -> Booking:
    if booking.status is BookingStatus.HELD:
        return booking
    if booking.status in (BookingStatus.PAYING, BookingStatus.ACTION_REQUIRED):
        raise Refused(ProblemType.PAYMENT_IN_PROGRESS, "The payment is in progress.", booking_id=str(booking.id))
    raise closed(booking)
