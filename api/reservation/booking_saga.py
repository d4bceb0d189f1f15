"""The commands that a booking's saga takes: hold, pay, abandon the payment, cancel."""

from __future__ import annotations

import time
from uuid import UUID, uuid4

from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError

from api.http.deadlines import with_deadline
from api.http.sagas import AnswerLost, answer, start_or_attach
from domain.bookings import (
    Booking,
    BookingRequest,
    CancelOutcome,
    HoldOutcome,
    PaymentCommand,
    PaymentOutcome,
)
from domain.problems import Problem
from workflows.booking import BookingWorkflow
from workflows.ids import booking_workflow_id, start_booking


async def hold(
    temporal: Client, request: BookingRequest, *, wait: float, again: bool = False, was_refused: bool = False
) -> HoldOutcome:
    """Start the booking's saga, or attach to it, and wait for the hold's outcome.

    Args:
        temporal: The client.
        request: What to hold.
        wait: Seconds until the answer is "unknown".
        again: Do not take an answer that Temporal remembers from an earlier call: a refusal may no longer hold, and a
            closed workflow's answer would keep a new one from being started.
        was_refused: An earlier saga has completed with a refusal, so that another is started; as `again`, too.

    Raises:
        WorkflowClosed: The saga has ended with a booking.
        Refused: The outcome is not known (`outcome-unknown`).
    """
    asked_by = str(uuid4())
    until = time.monotonic() + wait
    outcome = await start_or_attach(
        temporal,
        BookingWorkflow.run,
        request,
        start_booking(request, again=was_refused),
        BookingWorkflow.hold,
        args=[asked_by],
        update_id=f"hold:{asked_by}" if again or was_refused else "hold",
        about=about(request.id),
        wait=wait,
    )
    if outcome.problem and outcome.asked_by != asked_by:
        return await hold(temporal, request, wait=until - time.monotonic(), was_refused=True)
    return outcome


async def pay(temporal: Client, booking_id: UUID, command: PaymentCommand, *, key: str, wait: float) -> PaymentOutcome:
    """Send the payment command and wait for its outcome; the same key attaches to the same command.

    Raises:
        WorkflowClosed: The booking has ended, and Temporal does not know the command.
        Refused: The saga does not accept the command, or the outcome is not known.
    """
    saga = temporal.get_workflow_handle(booking_workflow_id(booking_id))
    until = time.monotonic() + wait
    try:
        sent = saga.execute_update(BookingWorkflow.pay, command, id=key)
        return await answer(sent, about=about(booking_id), wait=wait)
    except AnswerLost:
        again = saga.execute_update(BookingWorkflow.pay, command, id=key)
    return await answer(again, about=about(booking_id), wait=until - time.monotonic())


async def why_not_paid(temporal: Client, booking_id: UUID, key: str) -> Problem | None:
    """Why a payment that was answered while it was in progress did not pay; None where the saga cannot say."""
    saga = temporal.get_workflow_handle(booking_workflow_id(booking_id))
    try:
        return await with_deadline(saga.query(BookingWorkflow.why_not_paid, key))
    except (TimeoutError, RPCError, WorkflowQueryFailedError):
        return None


async def abandon(temporal: Client, booking: Booking, *, wait: float) -> CancelOutcome:
    """End the payment that waits for its buyer; all calls at this version of the booking share one command.

    Raises:
        WorkflowClosed: The booking has ended.
        Refused: The saga does not accept it, or the outcome is not known.
    """
    saga = temporal.get_workflow_handle(booking_workflow_id(booking.id))
    update = saga.execute_update(BookingWorkflow.abandon, id=f"abandon:{booking.version}")
    return await answer(update, about=about(booking.id), wait=wait)


async def cancel(temporal: Client, booking_id: UUID, *, wait: float) -> CancelOutcome:
    """Cancel the booking and wait until it is cancelled; all calls share one command, whose answer Temporal keeps.

    Raises:
        WorkflowClosed: The booking has ended.
        Refused: The saga does not accept it, or the outcome is not known.
    """
    saga = temporal.get_workflow_handle(booking_workflow_id(booking_id))
    return await answer(saga.execute_update(BookingWorkflow.cancel, id="cancel"), about=about(booking_id), wait=wait)


def about(booking_id: UUID) -> dict[str, str]:
    """The members by which a refusal names its booking."""
    return {"booking_id": str(booking_id)}
