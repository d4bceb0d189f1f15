"""Starts lost workflows again, so that no seat stays blocked because a workflow was terminated or failed.

Temporal keeps workflows alive. This sweeper is for the case that a workflow ended before its work was done. A booking,
refund, exchange or event cancellation that is overdue gets its workflow started again under the same id, which does
nothing while that workflow runs. The new workflow reads the row and completes it, money first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError

from db.reservation import event_cancellations
from db.reservation.bookings import requests
from db.reservation.event_cancellations import UnderWay
from db.reservation.exchanges import history
from db.reservation.refunds import refunds
from domain.bookings import BookingPolicy, BookingRequest
from domain.event_cancellations import Failing
from domain.exchanges import ExchangeRequest
from domain.refunds import RefundRequest
from workers.sweepers.loop import keep_sweeping
from workflows.booking import BookingWorkflow
from workflows.event_cancellation import CancelEvent, EventCancellation
from workflows.exchange import ExchangeWorkflow
from workflows.ids import start_booking, start_event_cancellation, start_exchange, start_refund
from workflows.refund import RefundWorkflow

OVERDUE = timedelta(seconds=60)
"""How long after the end of its hold an unfinished booking is checked; a payment in progress is not disturbed."""

_EVERY = (20.0, 40.0)  # seconds
_AT_ONCE = 200

_restarted = Counter("seatwright_sagas_revived", "Workflows that were started again because they were lost")

_parked = Gauge("seatwright_sagas_needing_attention", "Sagas that wait for an operator: alert on any")
_held = Gauge("seatwright_places_held", "Places of bookings whose buyers may still pay")

log = structlog.get_logger()


async def keep_recovering_workflows(engine: AsyncEngine, client: Client, policy: BookingPolicy) -> None:
    """Recover workflows every 20 to 40 seconds, until cancelled."""
    recover = partial(recover_workflows, engine, client, policy)
    await keep_sweeping(recover, _EVERY, interrupted="workflow_recovery_interrupted")


async def recover_workflows(
    engine: AsyncEngine, client: Client, policy: BookingPolicy, overdue: timedelta = OVERDUE
) -> None:
    """Start the workflow of each overdue row again, up to 200 of each kind, at random."""
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
            + await event_cancellations.count_parked(connection)
        )
        _held.set(await requests.count_held_places(connection))
    for request in unfinished:
        await _start(client, request.model_copy(update={"policy": policy}))
    for refund in owing:
        await _start_refund(client, refund.model_copy(update={"attempts": policy.compensation_attempts}))
    for exchange in exchanges:
        await _start_exchange(client, exchange)
    for cancellation in cancelled:
        await _start_cancellation(client, cancellation, policy.compensation_attempts)


@contextmanager
def _restarting(what: str, **of: UUID) -> Iterator[None]:
    """Count and log a restart; a workflow that runs is left alone."""
    try:
        yield
    except WorkflowAlreadyStartedError:
        return
    _restarted.inc()
    log.warning(what, **{name: str(id) for name, id in of.items()})


async def _start(client: Client, request: BookingRequest) -> None:
    with _restarting("booking_workflow_restarted", booking_id=request.id):
        await client.start_workflow(
            BookingWorkflow.run,
            request,
            **start_booking(request, again=True),
        )


async def _start_refund(client: Client, request: RefundRequest) -> None:
    with _restarting("refund_workflow_restarted", refund_id=request.id):
        await client.start_workflow(
            RefundWorkflow.run,
            request,
            **start_refund(request),
        )


async def _start_exchange(client: Client, request: ExchangeRequest) -> None:
    with _restarting("exchange_workflow_restarted", exchange_id=request.id):
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
        # A paused cancellation has stopped the sales already; any other stops them first.
        sales_are_stopped=found.paused,
        paused=found.paused,
        failing=Failing(is_shown=found.needs_attention),
    )
    with _restarting("event_cancellation_workflow_restarted", event_id=found.event_id):
        await client.start_workflow(
            EventCancellation.run,
            order,
            **start_event_cancellation(found.event_id),
        )
