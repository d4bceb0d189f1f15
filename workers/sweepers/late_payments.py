"""Finds money that arrives late, even if no webhook reports it: starts the workflow of each attempt that is watched.

A start does nothing while the workflow runs. So a workflow that was lost, or was never started because Temporal was
away when the webhook came, does no harm.
"""

from __future__ import annotations

import structlog
from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError

from db.payment import late_payments
from domain.bookings import BookingPolicy
from domain.payments import LatePayment
from workers.sweepers.loop import keep_sweeping
from workflows.ids import start_late_payment
from workflows.late_payment import LatePaymentWorkflow

_EVERY = (5.0, 10.0)  # seconds
_AT_ONCE = 200

_parked = Gauge("seatwright_late_payments_needing_attention", "Late payments that wait for an operator: alert on any")
_PARKED = "WorkflowType = 'LatePayment' AND SeatwrightStatus = 'needs_attention' AND ExecutionStatus = 'Running'"

log = structlog.get_logger()


async def keep_sweeping_late_payments(engine: AsyncEngine, client: Client, policy: BookingPolicy) -> None:
    """Sweep every 5 to 10 seconds, until cancelled."""

    async def sweep() -> None:
        await sweep_late_payments(engine, client, policy)
        _parked.set((await client.count_workflows(_PARKED)).count)

    await keep_sweeping(sweep, _EVERY, interrupted="late_payment_sweep_interrupted")


async def sweep_late_payments(engine: AsyncEngine, client: Client, policy: BookingPolicy) -> None:
    """Start the workflow of each watched attempt, up to 200 of them."""
    async with engine.connect() as connection:
        watched = await late_payments.watched(connection, limit=_AT_ONCE)
    for late in watched:
        await _start(client, late.model_copy(update={"policy": policy}))


async def _start(client: Client, late: LatePayment) -> None:
    try:
        await client.start_workflow(
            LatePaymentWorkflow.run,
            late,
            **start_late_payment(late),
        )
    except WorkflowAlreadyStartedError:
        return
    log.info("late_payment_workflow_started", booking_id=str(late.booking_id))
