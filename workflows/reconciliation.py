"""Reconciliation: once a day has ended, our ledger is held against each provider's books of that day."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import date, timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeKey, WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.payment.reconciliation import DaysDue, ReconciliationActivities
    from domain.providers import PROVIDERS
    from domain.reconciliation import ReconcileDay, Reconciliation
    from temporal.policies import books
    from temporal.queues import PAYMENT

_SCHEDULED_FOR = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


def reconciliation_id(provider: str, day: date) -> str:
    """The id of a day's reconciliation; without a slash, on which Temporal's UI stumbles."""
    return f"reconciliation-{provider}-{day}"


@workflow.defn(name="Reconciliation")
class ReconciliationWorkflow:
    """One provider and day; to run it again looks anew, and resolves what is not seen any more."""

    @workflow.run
    async def run(self, order: ReconcileDay) -> Reconciliation:
        await workflow.execute_activity_method(
            ReconciliationActivities.fetch_list, order, summary="fetch the provider's list", **books()
        )
        result = await workflow.execute_activity_method(
            ReconciliationActivities.compare_books, order, summary="compare", **books()
        )
        workflow.set_current_details(f"{result.count} differences" if result.count else "No differences")
        return result


@workflow.defn
class DailyReconciliation:
    """What the schedule starts: every day of every provider that was not reconciled since it ended.

    So a schedule that was away, or whose turn was skipped because the one before still ran, leaves no day out.
    """

    @workflow.run
    async def run(self) -> None:
        scheduled = workflow.info().typed_search_attributes.get(_SCHEDULED_FOR) or workflow.now()
        yesterday = scheduled.date() - timedelta(days=1)
        await asyncio.gather(*(self._catch_up(provider, yesterday) for provider in sorted(PROVIDERS)))

    async def _catch_up(self, provider: str, until: date) -> None:
        days = await workflow.execute_activity_method(
            ReconciliationActivities.days_due,
            DaysDue(provider=provider, until=until),
            summary=f"days due at {provider}",
            **books(),
        )
        for day in days:
            # One that somebody has started by hand does it; one that failed is due again tomorrow.
            with suppress(WorkflowAlreadyStartedError, FailureError):
                await workflow.execute_child_workflow(
                    ReconciliationWorkflow.run,
                    ReconcileDay(provider=provider, day=day),
                    id=reconciliation_id(provider, day),
                    task_queue=PAYMENT,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                )
