"""Publishes and cancels events: starts the workflow, or joins the one that runs, and waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from api.http.deadlines import CHANGE_WAIT
from api.http.sagas import WorkflowClosed, start
from domain.catalogue import EventChange
from domain.event_cancellations import Estimate
from domain.problems import ProblemType, Refused
from workflows.event_cancellation import CancelEvent, EstimateCancellation, EventCancellation
from workflows.ids import start_event_cancellation, start_event_cancellation_estimate, start_publication
from workflows.publication import PublishEvent

Result = TypeVar("Result")
_NO_ANSWER: Final = (
    TimeoutError,
    RPCError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateFailedError,
    WorkflowFailureError,
)


async def publish(temporal: Client, change: EventChange) -> None:
    """Put an event on sale, if its version is still that of the change, and the event has not begun.

    Raises:
        Refused: OUTCOME_UNKNOWN: It takes longer than usual, or its workflow has failed.
    """

    async def published() -> None:
        try:
            await (await start(temporal, PublishEvent.run, change, start_publication(change.event_id))).result()
        except WorkflowFailureError as error:
            if not _is_refused(error):
                raise

    await _outcome(published(), _unknown(change.event_id))


def _is_refused(error: WorkflowFailureError) -> bool:
    """Whether a step has refused to go on, after which nothing is changed."""
    step = error.cause.cause if isinstance(error.cause, ActivityError) else None
    return isinstance(step, ApplicationError) and step.type == Refused.__name__


async def estimate(temporal: Client, event_id: UUID) -> Estimate:
    """What it would mean to cancel an event.

    Raises:
        Refused: UNAVAILABLE: It cannot be counted now, as where the database is busy. Nothing is changed.
    """

    async def estimated() -> Estimate:
        options = start_event_cancellation_estimate(event_id)
        return await (await start(temporal, EstimateCancellation.run, event_id, options)).result()

    return await _outcome(estimated(), Refused(ProblemType.UNAVAILABLE, "This cannot be counted now. Try again."))


async def cancel(temporal: Client, command: CancelEvent, *, again: bool) -> None:
    """Stop an event's sales; its bookings are cancelled and refunded afterwards. Raises as `publish` does.

    The event is not cancelled where the workflow that runs is about another version. It may be another caller's.

    Args:
        temporal: The client.
        command: The cancellation.
        again: A workflow that has completed is started again, because the event is not cancelled.
    """
    await _outcome(_sales_stopped(temporal, command, again=again), _unknown(command.event_id))


async def _sales_stopped(temporal: Client, command: CancelEvent, *, again: bool) -> None:
    options = start_event_cancellation(command.event_id, again=again)
    try:
        cancellation = await start(temporal, EventCancellation.run, command, options)
    except WorkflowClosed:
        return  # it has completed already
    try:
        # All calls share one update: Temporal refuses an operator's `pause` while ten of them wait for an answer.
        await cancellation.execute_update(EventCancellation.sales_stopped, id="sales-stopped")
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        # Without anything to refund, it may have completed between the two calls.
        await cancellation.result()


async def _outcome(answer: Awaitable[Result], otherwise: Refused) -> Result:
    """The answer of a workflow; `otherwise` is raised if there is none in time, or the workflow itself has failed."""
    try:
        async with asyncio.timeout(CHANGE_WAIT):
            return await answer
    except _NO_ANSWER as error:
        structlog.get_logger().warning("no answer from a workflow", error=type(error).__name__)
        raise otherwise from error


@contextmanager
def after_change(event_id: UUID) -> Iterator[None]:
    """Where a change was ordered, and what came of it cannot be read or recorded, its outcome is unknown."""
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        raise _unknown(event_id) from error
    except Refused as refused:
        if refused.problem.type is not ProblemType.UNAVAILABLE:
            raise
        raise _unknown(event_id) from refused


def _unknown(event_id: UUID) -> Refused:
    return Refused(
        ProblemType.OUTCOME_UNKNOWN,
        "This takes longer than usual, and may go on. Read the event again to see the outcome.",
        event_id=str(event_id),
    )
