"""Why a saga refuses or fails, in the words that a buyer reads."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.payment.payments import Authorization, AuthorizationResult
    from domain.bookings import Booking, BookingStatus
    from domain.problems import Problem, ProblemType
    from temporal.search_attributes import REFUSED, STATUS

UNDONE = Problem(type=ProblemType.BOOKING_FAILED, detail="The booking could not be completed; nothing is charged.")
PROVIDER_UNREACHABLE = Problem(
    type=ProblemType.BOOKING_FAILED, detail="The payment provider could not be reached; nothing is charged."
)
AMOUNT_DIFFERS = Problem(
    type=ProblemType.BOOKING_FAILED,
    detail="The payment provider reports another amount than was owed; the money was returned.",
)
CANCELLED = Problem(type=ProblemType.WRONG_STATE, detail="The booking was cancelled; nothing is charged.")
TOO_LATE = Problem(type=ProblemType.PAYMENT_TOO_LATE, detail="The payment was not made in time; nothing is charged.")
ABANDONED = Problem(type=ProblemType.WRONG_STATE, detail="The payment was abandoned; nothing is charged.")
OUTCOME_UNKNOWN = Problem(
    type=ProblemType.OUTCOME_UNKNOWN, detail="The outcome is not certain yet; our support has been alerted."
)
EXCHANGE_UNDONE = Problem(
    type=ProblemType.EXCHANGE_FAILED, detail="The exchange could not be completed; nothing is charged for it."
)
EXCHANGE_UNREACHABLE = Problem(
    type=ProblemType.EXCHANGE_FAILED, detail="The payment provider could not be reached; nothing is charged."
)
EXCHANGE_AMOUNT_DIFFERS = Problem(
    type=ProblemType.EXCHANGE_FAILED,
    detail="The payment provider reports another amount than the difference; the money was returned.",
)
EXCHANGE_ABANDONED = Problem(
    type=ProblemType.EXCHANGE_FAILED, detail="The exchange was abandoned; nothing is charged for it."
)
EXCHANGE_OF_CANCELLED = Problem(
    type=ProblemType.EVENT_NOT_ON_SALE, detail="The event was cancelled; nothing is charged for the exchange."
)
EXCHANGE_TOO_LATE = Problem(
    type=ProblemType.PAYMENT_TOO_LATE, detail="The difference was not paid in time; the ticket stays as it is."
)

EVENT_CHANGED = Problem(type=ProblemType.PRECONDITION_FAILED, detail="The event has changed since it was read.")


async def refuse(problem: Problem) -> None:
    """Show that the saga refuses its request, which is an outcome and no failure; then the saga completes.

    The same key may start the saga again, so that a refusal is not remembered.

    Raises:
        ApplicationError: In a saga that began with version 0.1.0, where a refusal failed its workflow.
    """
    await workflow.wait_condition(workflow.all_handlers_finished)
    if not workflow.patched("a refusal completes its workflow"):
        raise ApplicationError(problem.detail, type=problem.type, non_retryable=True)
    workflow.set_current_details(f"Refused: {problem.detail}")
    workflow.upsert_search_attributes([STATUS.value_set(REFUSED)])


def why_not_paid(authorization: Authorization) -> Problem:
    """Why an authorization that is final did not pay for a booking."""
    if authorization.result is AuthorizationResult.DECLINED:
        return Problem(
            type=ProblemType.PAYMENT_DECLINED,
            detail="The payment was declined; the seats stay held.",
            members={"code": authorization.code},
        )
    if authorization.result is AuthorizationResult.REJECTED:
        rejected = "amount; choose another provider" if authorization.is_about_amount else "payment method"
        return Problem(
            type=ProblemType.PAYMENT_REJECTED,
            detail=f"The payment provider does not accept this {rejected}.",
            members={"code": authorization.code},
        )
    return TOO_LATE


def capture_refused(code: str) -> Problem:
    """The provider did not let reserved money be taken.

    Args:
        code: The provider's.
    """
    return Problem(
        type=ProblemType.PAYMENT_DECLINED,
        detail="The money could not be taken; the seats were given back.",
        members={"code": code},
    )


def why_not_exchanged(authorization: Authorization) -> Problem:
    """Why an authorization that is final did not pay for an exchange."""
    if authorization.result is AuthorizationResult.LAPSED:
        return EXCHANGE_TOO_LATE
    declined = authorization.result is AuthorizationResult.DECLINED
    return Problem(
        type=ProblemType.PAYMENT_DECLINED if declined else ProblemType.PAYMENT_REJECTED,
        detail="The difference could not be paid; the ticket stays as it is.",
        members={"code": authorization.code},
    )


def difference_refused(code: str) -> Problem:
    """As `capture_refused`, for what an exchange costs."""
    return Problem(
        type=ProblemType.PAYMENT_DECLINED,
        detail="The difference could not be taken; the ticket stays as it is.",
        members={"code": code},
    )


def already_ended(booking: Booking) -> Problem | None:
    """Why a command is too late for a booking that has ended; None where it has just been paid."""
    if booking.status is BookingStatus.CONFIRMED:
        return None
    return Problem(
        type=ProblemType.WRONG_STATE,
        detail=f"The booking is {booking.status}.",
        members={"booking_status": booking.status},
    )


def why_not_cancelled(booking: Booking) -> Problem:
    """Why a booking that has ended was not cancelled."""
    return already_ended(booking) or Problem(
        type=ProblemType.REFUND_REQUIRED, detail="The booking is paid: request a refund instead."
    )
