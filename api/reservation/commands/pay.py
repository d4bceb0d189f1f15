"""Pay for a booking: check the booking and the provider, send the payment to the saga, and answer what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from adapters.payment.registry import find_provider
from api.auth.tokens import Principal
from api.http.deadlines import with_deadline
from api.http.idempotency import digest, refuse_other_body, update_id
from api.http.problems import KINDS
from api.http.sagas import WorkflowClosed, after_order, unknown
from api.reservation import booking_saga, charge_quota
from api.reservation.answers import Answer, closed, refusal, refusal_of
from api.reservation.booking_saga import about
from api.reservation.buyer_details import BUYER, seal_buyer
from api.reservation.context import ReservationContext
from api.reservation.reads import current_booking, require_own, with_details
from api.reservation.schemas import PaymentBody
from db.engine import autocommit
from db.reservation.bookings import bookings, last_payment
from db.reservation.bookings.last_payment import LastPayment
from domain.booking_details import BookingDetails, NextAction
from domain.bookings import ENDED, PAID, Booking, BookingStatus, PaymentCommand, PaymentId, PaymentOutcome
from domain.money import Money
from domain.problems import Problem, ProblemType, Refused
from domain.providers import check_admitted
from workflows.support.problems import OUTCOME_UNKNOWN, UNDONE

_NOT_COMPLETED: Final = Problem(
    type=ProblemType.WRONG_STATE, detail="The payment was not completed. Pay again with a new Idempotency-Key."
)


async def pay(
    context: ReservationContext, buyer: Principal, booking_id: UUID, body: PaymentBody, key: str
) -> Answer[BookingDetails]:
    """Pay once for each key; a decline keeps the seats for another try.

    Raises:
        Refused: The booking does not allow a payment, the payment failed, or its outcome is not known.
    """
    command = await with_deadline(_prepare(context, buyer, booking_id, body))
    sealed = await seal_buyer(context, buyer, body.provider, body.buyer)
    command = command.model_copy(update={"buyer": sealed})
    command_key = update_id("pay", key)
    if body.provider is None:
        return await _pay(context, booking_id, command, command_key)
    async with charge_quota.counted(context, booking_id, command_key, body.provider, body.payment_method) as attempt:
        answer = await _pay(context, booking_id, command, command_key)
        attempt.succeeded = answer.body.status in PAID
    return answer


async def _pay(
    context: ReservationContext, booking_id: UUID, command: PaymentCommand, command_key: str
) -> Answer[BookingDetails]:
    wait = context.settings.payment_wait
    payment = PaymentId(command=command_key, body_sha256=command.body_sha256)
    try:
        outcome = await booking_saga.pay(context.temporal, booking_id, command, key=command_key, wait=wait)
    except WorkflowClosed:
        return await _answer_by_row(context, booking_id, payment)
    except Refused as refused:
        # The saga forgets a payment whose task is lost, and may have learned since that the booking is over.
        if refused.problem.type is ProblemType.WRONG_STATE and await _is_last_payment(context, booking_id, payment):
            return await _answer_by_row(context, booking_id, payment)
        raise
    refuse_other_body(outcome.body_sha256, command.body_sha256)
    return await _answer(context, booking_id, outcome, command_key)


async def _answer_by_row(context: ReservationContext, booking_id: UUID, payment: PaymentId) -> Answer[BookingDetails]:
    """What came of a payment that Temporal has forgotten: its task was lost, or it ended long ago.

    Raises:
        Refused: It is not the booking's last payment, or it did not pay.
    """
    booking, last, problem = await _last_payment(context, booking_id)
    if last is None or last.command != payment.command:
        raise closed(booking)
    refuse_other_body(last.body_sha256, payment.body_sha256)
    if booking.status in PAID:
        return Answer(await with_details(context, booking))
    if problem and booking.status in ENDED:
        raise _explained(booking, problem)
    raise closed(booking)


async def _is_last_payment(context: ReservationContext, booking_id: UUID, payment: PaymentId) -> bool:
    last = (await _last_payment(context, booking_id)).payment
    return last is not None and last.command == payment.command


async def _last_payment(context: ReservationContext, booking_id: UUID) -> LastPayment:
    async def find() -> LastPayment | None:
        async with autocommit(context.engine) as connection:
            return await last_payment.find(connection, booking_id)

    with after_order(about(booking_id)):
        found = await with_deadline(find())
    if found is None:
        raise unknown(about(booking_id))
    return found


async def _prepare(
    context: ReservationContext, buyer: Principal, booking_id: UUID, body: PaymentBody
) -> PaymentCommand:
    async with autocommit(context.engine) as connection:
        found = await bookings.find_to_be_paid(connection, booking_id)
    booking = require_own(buyer, found.booking if found else None)
    assert found is not None
    if booking.amount:
        _check_payment(booking, body, found.providers)
    return PaymentCommand(
        provider=body.provider or "",
        payment_method=body.payment_method,
        return_url=f"{context.settings.api_url}/v1/bookings/{booking_id}/payment/return",
        deadline=found.now + timedelta(seconds=context.settings.payment_wait),
        body_sha256=digest(body, without=BUYER),
    )


def _check_payment(booking: Booking, body: PaymentBody, admitted: Sequence[str] | None) -> None:
    """What is free needs neither provider nor method, whatever is sent."""
    if body.provider is None:
        raise Refused(ProblemType.INVALID_REQUEST, "provider: name a payment provider.", field="provider")
    provider = find_provider(body.provider)
    provider.check_method(body.payment_method)
    check_admitted(body.provider, admitted)
    provider.check_amount(Money(amount=booking.amount, currency=booking.currency))


async def _answer(
    context: ReservationContext, booking_id: UUID, outcome: PaymentOutcome, key: str
) -> Answer[BookingDetails]:
    """What a payment came to; one that was answered while it was in progress is answered by the booking's row."""
    if not _is_preliminary(outcome):
        return Answer(await with_details(context, _final(booking_id, outcome)))
    booking = await current_booking(context, booking_id)
    if booking.status in PAID:
        return Answer(await with_details(context, booking))
    unpaid = _why_unpaid(outcome, booking)
    if unpaid:
        why = await booking_saga.why_not_paid(context.temporal, booking_id, key)
        raise _explained(booking, why) if why else unpaid
    # A saga that waits for an operator says so before its row does.
    if booking.status is BookingStatus.NEEDS_ATTENTION or outcome.problem:
        raise refusal(OUTCOME_UNKNOWN, **about(booking_id))
    return Answer(_in_progress(outcome, await with_details(context, booking)), HTTPStatus.ACCEPTED)


def _is_preliminary(outcome: PaymentOutcome) -> bool:
    """Whether the payment could still end otherwise when Temporal began to remember this outcome."""
    if outcome.problem:
        return KINDS[outcome.problem.type].status == HTTPStatus.SERVICE_UNAVAILABLE
    return outcome.booking is not None and outcome.booking.status is BookingStatus.ACTION_REQUIRED


def _final(booking_id: UUID, outcome: PaymentOutcome) -> Booking:
    if outcome.problem:
        raise refusal(outcome.problem, **about(booking_id))
    assert outcome.booking is not None
    return outcome.booking


def _why_unpaid(outcome: PaymentOutcome, booking: Booking) -> Refused | None:
    """Why the payment did not pay, as far as the row says; None where it may still pay."""
    if booking.status is BookingStatus.FAILED:
        return refusal_of(booking, ProblemType.BOOKING_FAILED, UNDONE.detail)
    if booking.status in ENDED:
        return closed(booking)
    if booking.status is BookingStatus.HELD or _is_of_another_payment(outcome, booking):
        return refusal(_NOT_COMPLETED, **about(booking.id))
    return None


def _is_of_another_payment(outcome: PaymentOutcome, booking: Booking) -> bool:
    """Whether the booking has gone on to a later payment than the one whose buyer had to act."""
    if outcome.booking is None or booking.status is BookingStatus.NEEDS_ATTENTION:
        return False
    steps = {BookingStatus.ACTION_REQUIRED: 0, BookingStatus.PAYING: 1}[booking.status]
    return booking.version > outcome.booking.version + steps


def _explained(booking: Booking, why: Problem) -> Refused:
    members: dict[str, Any] = {"booking_status": booking.status} | why.members
    return refusal(why.model_copy(update={"members": members}), **about(booking.id))


def _in_progress(outcome: PaymentOutcome, booking: BookingDetails) -> BookingDetails:
    """The answer while the buyer acts, or has acted; the saga names this payment's own address."""
    if booking.status is not BookingStatus.ACTION_REQUIRED or outcome.action_url is None:
        return booking
    return booking.model_copy(update={"next_action": NextAction(type="redirect_to_url", url=outcome.action_url)})
