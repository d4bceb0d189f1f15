"""How the API hands commands to a booking's workflow, and what it says when no answer comes: "unknown", with the id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar
from uuid import UUID, uuid4

from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from api.http.deadlines import with_deadline
from domain.bookings import (
    Booking,
    BookingRequest,
    CancelOutcome,
    HoldOutcome,
    PaymentCommand,
    PaymentOutcome,
)
from domain.problems import Problem, ProblemType, Refused
from temporal.start import start_or_attach
from workflows.booking import BookingWorkflow
from workflows.ids import booking_workflow_id, start_booking

Outcome = TypeVar("Outcome")


class WorkflowClosed(Exception):
    """The booking's workflow takes no commands any more: the database says how it ended.

    Args:
        after_order: It ended by the caller's own order, whose answer was lost on the way.
    """

    def __init__(self, *, after_order: bool = False) -> None:
        super().__init__()
        self.after_order = after_order


class AnswerLost(Refused):
    """The order was carried out, perhaps, and Temporal has forgotten it: handed in again, it finds what it has done."""


async def hold(temporal: Client, request: BookingRequest, *, wait: float, again: bool = False) -> HoldOutcome:
    """Start the booking's workflow, or attach to it, and wait for the hold's outcome.

    Args:
        wait: Seconds until the answer is "unknown".
        again: Take no answer that Temporal remembers from an earlier call: a refusal may hold no more, and a closed
            workflow's answer would keep a new one from being started.

    Raises:
        WorkflowClosed: The workflow has ended with a booking.
        Refused: The outcome is not known (`outcome-unknown`).
    """
    asked_by = str(uuid4())
    held = start_or_attach(
        temporal,
        BookingWorkflow.run,
        request,
        start_booking(request),
        BookingWorkflow.hold,
        args=[asked_by],
        update_id=f"hold:{asked_by}" if again else "hold",
    )
    try:
        outcome = await answer(held, request.id, wait)
    except WorkflowAlreadyStartedError as error:
        raise WorkflowClosed from error
    if outcome.problem and outcome.asked_by != asked_by and not again:
        return await hold(temporal, request, wait=wait, again=True)
    return outcome


async def pay(temporal: Client, booking_id: UUID, command: PaymentCommand, *, key: str, wait: float) -> PaymentOutcome:
    """Order the payment and wait for its outcome; the same key attaches to the same order.

    Raises:
        WorkflowClosed: The booking has ended, and this key has not paid for it unless it is `after_order`.
        Refused: The workflow does not accept the order, or the outcome is not known.
    """
    handle = temporal.get_workflow_handle(booking_workflow_id(booking_id))
    until = time.monotonic() + wait
    try:
        return await answer(handle.execute_update(BookingWorkflow.pay, command, id=key), booking_id, wait)
    except AnswerLost:
        again = handle.execute_update(BookingWorkflow.pay, command, id=key)
    try:
        return await answer(again, booking_id, until - time.monotonic())
    except WorkflowClosed:
        raise WorkflowClosed(after_order=True) from None


async def why_not_paid(temporal: Client, booking_id: UUID, order: str) -> Problem | None:
    """Why an order that was answered while it was under way came to nothing; None where nobody can say."""
    handle = temporal.get_workflow_handle(booking_workflow_id(booking_id))
    try:
        return await with_deadline(handle.query(BookingWorkflow.why_not_paid, order))
    except (TimeoutError, RPCError, WorkflowQueryFailedError):
        return None


async def abandon(temporal: Client, booking: Booking, *, wait: float) -> CancelOutcome:
    """End the payment that waits for its buyer; all who ask at this version of the booking share one order.

    Raises:
        WorkflowClosed: The booking has ended.
        Refused: The workflow does not accept it, or the outcome is not known.
    """
    handle = temporal.get_workflow_handle(booking_workflow_id(booking.id))
    update = handle.execute_update(BookingWorkflow.abandon, id=f"abandon:{booking.version}")
    return await answer(update, booking.id, wait)


async def cancel(temporal: Client, booking_id: UUID, *, wait: float) -> CancelOutcome:
    """Let go of the booking and wait until it has; all who ask attach to one order, of which Temporal keeps the answer.

    Raises:
        WorkflowClosed: The booking has ended.
        Refused: The workflow does not accept it, or the outcome is not known.
    """
    handle = temporal.get_workflow_handle(booking_workflow_id(booking_id))
    return await answer(handle.execute_update(BookingWorkflow.cancel, id="cancel"), booking_id, wait)


async def answer(update: Awaitable[Outcome], booking_id: UUID, wait: float) -> Outcome:
    """What a command came to.

    Raises:
        WorkflowClosed: The workflow takes no commands any more.
        AnswerLost: The outcome is not known, and the same command will learn it.
        Refused: The workflow does not accept the command, or its outcome is not known after `wait` seconds.
    """
    try:
        return await asyncio.wait_for(update, wait)
    except WorkflowUpdateFailedError as error:
        raise _refusal(error, booking_id) from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        raise unknown(booking_id) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise WorkflowClosed from error
        if error.status is RPCStatusCode.FAILED_PRECONDITION:
            # Something arrived while a task ended the workflow: the server drops that task, with all that it said.
            raise AnswerLost(**_unknown(booking_id)) from error
        raise unknown(booking_id) from error


def _refusal(error: WorkflowUpdateFailedError, booking_id: UUID) -> Exception:
    if isinstance(error.cause, ApplicationError):
        if error.cause.type in set(ProblemType):
            return Refused(ProblemType(error.cause.type), error.cause.message, booking_id=str(booking_id))
        if error.cause.type == "AcceptedUpdateCompletedWorkflow":
            return WorkflowClosed()
    return error


def unknown(booking_id: UUID) -> Refused:
    """The order was sent, and nobody knows yet what became of it."""
    return Refused(**_unknown(booking_id))


def _unknown(booking_id: UUID) -> dict[str, Any]:
    return {
        "type": ProblemType.OUTCOME_UNKNOWN,
        "detail": "The outcome is not known yet: repeat the call with the same Idempotency-Key to learn it.",
        "booking_id": str(booking_id),
    }
