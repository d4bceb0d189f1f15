"""Temporal schedules; each start of a worker creates or updates them."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from adapters.payment.registry import PROVIDERS
from domain.reconciliation import ReconcileDueDays
from temporal.queues import PAYMENT
from workflows.reconciliation import DailyReconciliation

DAILY_RECONCILIATION = "reconciliation-daily"

_HOUR = 3  # UTC: the day has ended for every provider by then, and what was under way at its end, too


async def schedule_reconciliation(client: Client) -> None:
    """Have yesterday reconciled every night; to ask again changes nothing, and keeps a pause that an operator made."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            DailyReconciliation.run,
            ReconcileDueDays(providers=tuple(PROVIDERS)),
            id=DAILY_RECONCILIATION,
            task_queue=PAYMENT,
        ),
        spec=ScheduleSpec(calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(_HOUR)])]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(days=7)),
    )

    def renewed(known: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule.state = known.description.schedule.state
        return ScheduleUpdate(schedule)

    try:
        await client.create_schedule(DAILY_RECONCILIATION, schedule)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(DAILY_RECONCILIATION).update(renewed)
