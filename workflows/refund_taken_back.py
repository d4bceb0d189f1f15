"""A refund that the provider had called succeeded, and of which it says now that it failed: it is made again.

Stripe takes some back days later. The tickets stay void and the money stays owed: refund and booking are as they were
while it was on its way. The refund's own workflow is run once more: it finds its last try failed, makes the next one
under a new key, and waits for an operator as ever.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.payment.refunds import RefundActivities
    from activities.reservation.refunds import ReturnedTickets
    from domain.refunds import RefundRequest
    from temporal.policies import provider, transaction
    from temporal.queues import RESERVATION
    from workflows.refund import RefundWorkflow, refund_workflow_id, search_attributes_of_refund

# Until the booking's other refund or exchange is done, which may wait for an operator: the pauses double.
_FIRST_LOOK, _LONGEST_LOOK = timedelta(seconds=2), timedelta(hours=1)


def taken_back_id(refund_id: UUID) -> str:
    """The id of the workflow that looks at a refund again."""
    return f"refund-taken-back-{refund_id}"


@workflow.defn
class RefundTakenBack:
    """Asks the provider first: the news are only a reason to."""

    @workflow.run
    async def run(self, refund_id: UUID) -> bool:
        """Whether the refund is made again."""
        is_owed = await workflow.execute_activity_method(
            RefundActivities.take_back, refund_id, summary="look at it again", **provider(attempts=0)
        )
        if not is_owed:
            return False
        request = await self._take_back(refund_id)
        with suppress(WorkflowAlreadyStartedError):  # it runs already, or still
            await workflow.start_child_workflow(
                RefundWorkflow.run,
                request,
                id=refund_workflow_id(refund_id),
                task_queue=RESERVATION,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                search_attributes=search_attributes_of_refund(request),
            )
        return True

    async def _take_back(self, refund_id: UUID) -> RefundRequest:
        pause = _FIRST_LOOK
        while True:
            request: RefundRequest | None = await workflow.execute_local_activity_method(
                ReturnedTickets.take_back_refund, refund_id, summary="it is pending again", **transaction()
            )
            if request:
                return request
            await workflow.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)
