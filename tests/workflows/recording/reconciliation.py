"""The reconciliation of one day, and the schedule's nightly run, also where a provider is away for days."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

from temporalio.client import WorkflowHistory

from adapters.payment.stripe.gateway import StripeGateway
from config.settings import Settings
from db.engine import open_engine
from domain.reconciliation import ReconcileDay
from stack import Stack
from temporal.encryption import data_converter
from temporal.queues import PAYMENT
from tests.db.templates import template
from tests.platform_client import PlatformClient
from tests.waiting import eventually
from tests.workers.conftest import _Databases
from tests.workflows.reconciling import leave_due, one_night
from tests.workflows.recording.shared import ended
from tests.workflows.skipping import time_skipping
from workers.temporal.schedules import DAILY_RECONCILIATION
from workflows.ids import reconciliation_workflow_id
from workflows.reconciliation import ReconciliationWorkflow


async def record(platform: PlatformClient, stack: Stack) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    day = ReconcileDay(provider="stripe", day=date(2020, 2, 29))
    id = reconciliation_workflow_id(day.provider, day.day)
    await platform.temporal.execute_workflow(ReconciliationWorkflow.run, day, id=id, task_queue=PAYMENT)
    yield "reconciliation-of-a-day", await ended(platform, id)
    await platform.temporal.get_schedule_handle(DAILY_RECONCILIATION).trigger()

    async def nightly() -> str | None:
        query = "WorkflowType = 'DailyReconciliation' AND ExecutionStatus = 'Completed'"
        runs = [run async for run in platform.temporal.list_workflows(query)]
        return min(runs, key=lambda run: run.start_time).id if runs else None  # the first one had days to make up for

    yield "reconciliation-of-all-days-due", await ended(platform, str(await eventually(nightly, within=60)))
    yield "reconciliation-of-a-provider-that-was-away", await _in_vain(stack)


async def _in_vain(stack: Stack) -> WorkflowHistory:
    admin_dsn = stack.env["SEATWRIGHT_POSTGRES_ADMIN_DSN"]
    databases = _Databases(admin_dsn)
    engine = open_engine(databases.make(template(admin_dsn, "payment")), serves_callers=False)
    gateway = StripeGateway("sk_test_away", base_url="http://127.0.0.1:9")
    try:
        await leave_due(engine, ["stripe"], 2)
        async with time_skipping(data_converter(Settings(mode="development"))) as environment:
            night, _ = await one_night(environment, engine, {"stripe": gateway})
            return await night.fetch_history()
    finally:
        await gateway.close()
        await engine.dispose()
        databases.close()
