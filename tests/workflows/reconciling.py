"""Runs the nightly reconciliation on a Temporal server whose clock jumps, with the real activities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.payment.reconciliation import ReconciliationActivities
from domain.payment_gateway import PaymentGateway
from domain.reconciliation import ReconcileDueDays
from temporal.queues import PAYMENT
from tests.workflows.sandbox import WORKFLOW_RUNNER
from workers.temporal.worker import PAYMENT_WORKFLOWS, methods_of
from workflows.reconciliation import DailyReconciliation


async def leave_due(engine: AsyncEngine, providers: Sequence[str], days: int) -> None:
    """Let all but the latest days be reconciled."""
    done = """
        INSERT INTO reconciled_days (provider, day)
        SELECT provider, day FROM unnest(CAST(:providers AS text[])) AS provider,
               generate_series(current_date - 20, current_date - 1 - CAST(:days AS integer), '1 day') AS day
    """
    async with engine.begin() as connection:
        await connection.execute(text(done), {"providers": list(providers), "days": days})


def reconciler(environment: WorkflowEnvironment, engine: AsyncEngine, gateways: Mapping[str, PaymentGateway]) -> Worker:
    """A worker that reconciles with these providers."""
    return Worker(
        environment.client,
        task_queue=PAYMENT,
        workflows=PAYMENT_WORKFLOWS,
        activities=methods_of(ReconciliationActivities(engine, gateways)),
        workflow_runner=WORKFLOW_RUNNER,
    )


async def one_night(
    environment: WorkflowEnvironment, engine: AsyncEngine, gateways: Mapping[str, PaymentGateway]
) -> tuple[WorkflowHandle[Any, Any], str]:
    """The run of one night, once it has ended, and why it failed; an empty text if it did not."""
    async with reconciler(environment, engine, gateways):
        night = await environment.client.start_workflow(
            DailyReconciliation.run,
            ReconcileDueDays(providers=tuple(gateways)),
            id=f"reconciliation-daily-{uuid4()}",
            task_queue=PAYMENT,
        )
        try:
            await night.result()
        except WorkflowFailureError as failure:
            return night, str(failure.cause)
        return night, ""


async def lasted(night: WorkflowHandle[Any, Any]) -> timedelta:
    """How long a run that has ended took by Temporal's clock."""
    described = await night.describe()
    assert described.close_time
    return described.close_time - described.start_time
