"""Publishes and cancels events: starts the workflow, or joins the one that runs, and waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar
from uuid import UUID

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from api.http.sagas import WorkflowClosed, start
from domain.event_cancellations import Estimate
from domain.problems import ProblemType, Refused
from workflows.event_cancellation import CancelEvent, EstimateCancellation, EventCancellation
from workflows.ids import start_event_cancellation, start_event_cancellation_estimate, start_publication
from workflows.publication import PublishEvent

Result = TypeVar("Result")

_WAIT: Final = 20
"""Seconds for the places to be copied; the workflow goes on when the API stops waiting."""


async def publish(temporal: Client, event_id: UUID) -> None:
    """Put an event on sale.

    Raises:
        Refused: OUTCOME_UNKNOWN: It takes longer than usual.
    """
    publication = await start(temporal, PublishEvent.run, event_id, start_publication(event_id))
    await _outcome(publication.result())


async def estimate(temporal: Client, event_id: UUID) -> Estimate:
    """What it would mean to cancel an event; raises as `publish` does."""
    options = start_event_cancellation_estimate(event_id)
    return await _outcome((await start(temporal, EstimateCancellation.run, event_id, options)).result())


async def cancel(temporal: Client, command: CancelEvent) -> None:
    """Stop an event's sales; its bookings are cancelled and refunded afterwards. Raises as `publish` does."""
    options = start_event_cancellation(command.event_id)
    try:
        cancellation = await start(temporal, EventCancellation.run, command, options)
    except WorkflowClosed:
        return  # it has completed already
    await _outcome(_sales_stopped(cancellation))


async def _sales_stopped(cancellation: WorkflowHandle[Any, Any]) -> None:
    try:
        await cancellation.execute_update(EventCancellation.sales_stopped)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        # Without anything to refund, it may have completed between the two calls.
        await cancellation.result()


async def _outcome(answer: Awaitable[Result]) -> Result:
    try:
        async with asyncio.timeout(_WAIT):
            return await answer
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise Refused(
            ProblemType.OUTCOME_UNKNOWN,
            "This takes longer than usual and goes on. Read the event again to see the outcome.",
        ) from None
