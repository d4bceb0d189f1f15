"""Publishes and cancels events: starts the workflow, or joins the one that runs, and waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar
from uuid import UUID

from temporalio.client import Client, WorkflowUpdateRPCTimeoutOrCancelledError
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


async def publish(temporal: Client, change: EventChange) -> None:
    """Put an event on sale, if its version is still that of the change.

    Raises:
        Refused: OUTCOME_UNKNOWN: It takes longer than usual.
    """

    async def published() -> None:
        await (await start(temporal, PublishEvent.run, change, start_publication(change.event_id))).result()

    await _outcome(published())


async def estimate(temporal: Client, event_id: UUID) -> Estimate:
    """What it would mean to cancel an event; raises as `publish` does."""

    async def estimated() -> Estimate:
        options = start_event_cancellation_estimate(event_id)
        return await (await start(temporal, EstimateCancellation.run, event_id, options)).result()

    return await _outcome(estimated())


async def cancel(temporal: Client, command: CancelEvent, *, again: bool) -> None:
    """Stop an event's sales; its bookings are cancelled and refunded afterwards. Raises as `publish` does.

    The event is not cancelled where the workflow that runs is about another version. It may be another caller's.

    Args:
        temporal: The client.
        command: The cancellation.
        again: A workflow that has completed is started again, because the event is not cancelled.
    """
    await _outcome(_sales_stopped(temporal, command, again=again))


async def _sales_stopped(temporal: Client, command: CancelEvent, *, again: bool) -> None:
    options = start_event_cancellation(command.event_id, again=again)
    try:
        cancellation = await start(temporal, EventCancellation.run, command, options)
    except WorkflowClosed:
        return  # it has completed already
    try:
        await cancellation.execute_update(EventCancellation.sales_stopped)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        # Without anything to refund, it may have completed between the two calls.
        await cancellation.result()


async def _outcome(answer: Awaitable[Result]) -> Result:
    try:
        async with asyncio.timeout(CHANGE_WAIT):
            return await answer
    except (TimeoutError, RPCError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise Refused(
            ProblemType.OUTCOME_UNKNOWN,
            "This takes longer than usual, and may go on. Read the event again to see the outcome.",
        ) from None
