"""The reconciliation of one day, and the schedule's nightly run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

from temporalio.client import WorkflowHistory

from domain.reconciliation import ReconcileDay
from temporal.queues import PAYMENT
from tests.platform_client import PlatformClient
from tests.waiting import eventually
from tests.workflows.recording.shared import ended
from workers.temporal.schedules import DAILY_RECONCILIATION
from workflows.ids import reconciliation_workflow_id
from workflows.reconciliation import ReconciliationWorkflow


async def record(platform: PlatformClient) -> AsyncIterator[tuple[str, WorkflowHistory]]:
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
