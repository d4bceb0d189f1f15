"""Records the histories of a reconciled day and of the schedule's nightly run: see `record.py`."""

from __future__ import annotations

import asyncio
import os
from datetime import date

from domain.reconciliation import ReconcileDay
from stack import Stack
from temporal.connection import connect
from temporal.queues import PAYMENT
from tests.conftest import settings_of
from tests.waiting import eventually
from tests.workflows.record import HISTORIES, portable
from workers.temporal.schedules import DAILY_RECONCILIATION
from workflows.ids import reconciliation_workflow_id
from workflows.reconciliation import ReconciliationWorkflow


async def main() -> None:
    client = await connect(settings_of(Stack(os.environ.get("SEATWRIGHT_STACK", "test"), ports="free").env))
    order = ReconcileDay(provider="stripe", day=date(2020, 2, 29))
    id = reconciliation_workflow_id(order.provider, order.day)
    await client.execute_workflow(ReconciliationWorkflow.run, order, id=id, task_queue=PAYMENT)
    found = {"reconciliation": await client.get_workflow_handle(id).fetch_history()}
    await client.get_schedule_handle(DAILY_RECONCILIATION).trigger()

    async def nightly() -> str | None:
        query = "WorkflowType = 'DailyReconciliation' AND ExecutionStatus = 'Completed'"
        runs = [run async for run in client.list_workflows(query)]
        return min(runs, key=lambda run: run.start_time).id if runs else None  # the first one had days to make up for

    run = str(await eventually(nightly, within=60))
    found["reconciliation-daily"] = await client.get_workflow_handle(run).fetch_history()
    for name, history in found.items():
        (HISTORIES / f"{name}.json").write_text(portable(history.to_json()))


if __name__ == "__main__":
    asyncio.run(main())
