"""Revives bookings whose saga is gone: nobody's seats stay blocked because a workflow was terminated or failed.

Temporal keeps sagas alive by itself; this is for the day when somebody or something ended one all the same. A booking
that is unfinished although its time is up gets its workflow started again under the same id, which does nothing where
one is running; the new one finds the row and brings it to an end, money first.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from db.reservation import event_cancellations
from db.reservation.bookings import requests
from db.reservation.event_cancellations import UnderWay
from db.reservation.exchanges import history
from db.reservation.refunds import refunds
from domain.bookings import BookingPolicy, BookingRequest
from domain.exchanges import ExchangeRequest
from domain.refunds import RefundRequest
from temporal import queues
from workflows.booking import BookingWorkflow
from workflows.event_cancellation import CancelEvent, EventCancellation
from workflows.exchange import ExchangeWorkflow
from workflows.ids import event_cancellation_workflow_id, start_booking, start_exchange, start_refund
from workflows.refund import RefundWorkflow

OVERDUE = timedelta(seconds=60)
"""How long after its hold's end an unfinished booking is looked at; a payment under way is none the worse for it."""

_EVERY = (20.0, 40.0)  # seconds
_AT_ONCE = 200

_revived = Counter("seatwright_sagas_revived", "Sagas that were started again because theirs was gone")

_parked = Gauge("seatwright_sagas_needing_attention", "Sagas that wait for an operator: alert on any")

log = structlog.get_logger()


async def keep_reviving(engine: AsyncEngine, client: Client, policy: BookingPolicy) -> None:
    """Look again and again, until cancelled."""
    while True:
        try:
            await revive(engine, client, policy)
        except (SQLAlchemyError, RPCError, OSError) as error:
            log.warning("revival_interrupted", error=type(error).__name__)
        await asyncio.sleep(random.uniform(*_EVERY))


async def revive(engine: AsyncEngine, client: Client, policy: BookingPolicy, overdue: timedelta = OVERDUE) -> None:
    """Look once."""
    async with engine.connect() as connection:
        unfinished = await requests.find_unfinished(connection, overdue=overdue, limit=_AT_ONCE)
        owing = await refunds.find_unfinished(connection, older=overdue, limit=_AT_ONCE)
        exchanges = await history.find_unfinished(
            connection,
            older=overdue + policy.payment_window,
            limit=_AT_ONCE,
            window=policy.payment_window,
            attempts=policy.compensation_attempts,
        )
        cancelled = await event_cancellations.find_under_way(connection, older=overdue, limit=_AT_ONCE)
        _parked.set(
            await requests.count_parked(connection)
            + await refunds.count_parked(connection)
            + await history.count_parked(connection)
        )
    for request in unfinished:
        await _start(client, request.model_copy(update={"policy": policy}))
    for refund in owing:
        await _start_refund(client, refund.model_copy(update={"attempts": policy.compensation_attempts}))
    for exchange in exchanges:
        await _start_exchange(client, exchange)
    for cancellation in cancelled:
        await _start_cancellation(client, cancellation, policy.compensation_attempts)


@contextmanager
def _reviving(what: str, **of: UUID) -> Iterator[None]:
    """Count and tell that a workflow was started again; one that lives is left alone."""
    try:
        yield
    except WorkflowAlreadyStartedError:
        return
    _revived.inc()
    log.warning(what, **{name: str(id) for name, id in of.items()})


async def _start(client: Client, request: BookingRequest) -> None:
    with _reviving("saga_revived", booking_id=request.id):
        await client.start_workflow(
            BookingWorkflow.run,
            request,
            **start_booking(request, again=True),
        )


async def _start_refund(client: Client, request: RefundRequest) -> None:
    with _reviving("refund_revived", refund_id=request.id):
        await client.start_workflow(
            RefundWorkflow.run,
            request,
            **start_refund(request, again=True),
        )


async def _start_exchange(client: Client, request: ExchangeRequest) -> None:
    with _reviving("exchange_revived", exchange_id=request.id):
        await client.start_workflow(
            ExchangeWorkflow.run,
            request,
            **start_exchange(request),
        )


async def _start_cancellation(client: Client, found: UnderWay, attempts: int) -> None:
    order = CancelEvent(
        event_id=found.event_id,
        requested_by=found.requested_by,
        attempts=attempts,
        # Only one that has stopped sales can have been paused; any other makes sure of that first.
        sales_are_stopped=found.paused,
        paused=found.paused,
    )
    with _reviving("cancellation_revived", event_id=found.event_id):
        await client.start_workflow(
            EventCancellation.run,
            order,
            id=event_cancellation_workflow_id(found.event_id),
            task_queue=queues.RESERVATION,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        )
