"""Reconciliation: once a day has ended, our ledger is compared with each provider's settlement report of that day."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

from temporalio import workflow
from temporalio.common import SearchAttributeKey, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.payment.reconciliation import DaysDue, ReconciliationActivities
    from domain.reconciliation import ReconcileDay, ReconcileDueDays, Reconciliation
    from temporal.policies import REPORT_TRIED, settlement_report
    from temporal.queues import PAYMENT
    from workflows.ids import reconciliation_workflow_id

_FOR_OTHERS = timedelta(hours=24) - REPORT_TRIED - timedelta(hours=1)
"""A day that begins within this time has ended before the next night, whatever becomes of it."""

_SCHEDULED_FOR = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")


@workflow.defn(name="Reconciliation")
class ReconciliationWorkflow:
    """One provider's day; a later run compares again, and resolves the differences that are gone."""

    @workflow.run
    async def run(self, request: ReconcileDay) -> Reconciliation:
        """Fetch the provider's list of the day, and compare."""
        await workflow.execute_activity_method(
            ReconciliationActivities.fetch_list, request, summary="fetch the provider's list", **settlement_report()
        )
        result = await workflow.execute_activity_method(
            ReconciliationActivities.find_differences, request, summary="compare", **settlement_report()
        )
        workflow.set_current_details(f"{result.count} differences" if result.count else "No differences")
        return result


@workflow.defn
class DailyReconciliation:
    """What the schedule starts: every day of every provider that was not reconciled since it ended.

    So a schedule that was down, or that skipped a run because the one before was still at work, leaves no day out.
    """

    @workflow.run
    async def run(self, due: ReconcileDueDays) -> None:
        """Reconcile all days that are due, one after another at each provider.

        Raises:
            ApplicationError: Some could not be reconciled. All providers have had their turn by then.
        """
        scheduled = workflow.info().typed_search_attributes.get(_SCHEDULED_FOR) or workflow.now()
        yesterday = scheduled.date() - timedelta(days=1)
        failed = await asyncio.gather(*(self._catch_up(provider, yesterday) for provider in due.providers))
        if found := [each for of_provider in failed for each in of_provider]:
            raise ApplicationError(f"not reconciled: {', '.join(found)}")

    async def _catch_up(self, provider: str, until: date) -> list[str]:
        """Reconcile a provider's days; those that could not be are due again the next night.

        A provider that has failed for hours is left alone: the next night must begin for the others. One that refuses
        at once may do so for that day alone.
        """
        began, failed = workflow.now(), list[str]()
        days = await workflow.execute_activity_method(
            ReconciliationActivities.days_due,
            DaysDue(provider=provider, until=until),
            summary=f"days due at {provider}",
            **settlement_report(),
        )
        for day in days:
            try:
                await workflow.execute_child_workflow(
                    ReconciliationWorkflow.run,
                    ReconcileDay(provider=provider, day=day),
                    id=reconciliation_workflow_id(provider, day),
                    task_queue=PAYMENT,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    execution_timeout=REPORT_TRIED,
                )
            except WorkflowAlreadyStartedError:
                pass  # an operator has started it, and it runs
            except FailureError as failure:
                workflow.logger.error(
                    "a day is not reconciled", exc_info=failure, extra={"provider": provider, "day": str(day)}
                )
                if workflow.patched("a provider that cannot be reconciled makes its night fail"):
                    failed.append(f"{provider} {day}")
                    if workflow.now() - began > _FOR_OTHERS:
                        break
        return failed
