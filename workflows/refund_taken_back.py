"""A refund that the provider first called succeeded and then failed: it is made again.

Stripe takes some back days later. The tickets stay void and the money stays owed: refund and booking are as they were
while it was pending. The refund's own workflow runs once more: it finds its last try failed, makes the next one under a
new key, and waits for an operator as always.

Its first run may not have ended yet: it knows that the provider has paid, and waits for the reservation database to
settle the refund. It may do so between two steps of this check, and the run that is started then finds the refund
settled and makes none. So the check goes on until nothing is owed.

The refund may also be paid between two steps of this check. So it is seen, then the payment service is asked once
more, and the refund is taken back only if it was not settled since it was seen.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.payment.refunds import RefundActivities
    from activities.reservation.refunds import ReturnedTickets
    from domain.refunds import SeenRefund
    from temporal.queues import REFUNDS
    from workflows.refund import start_refund
    from workflows.support.news import LooksAgain
    from workflows.support.polling import poll
    from workflows.support.steps import local_step, provider_step

_LONGEST_PAUSE = timedelta(hours=1)  # the booking's other refund or exchange may wait for an operator


@workflow.defn
class RefundTakenBack(LooksAgain):
    """Asks the provider first: its notification is only a reason to ask."""

    @workflow.init
    def __init__(self, refund_id: UUID) -> None:
        """Nothing is started yet."""
        super().__init__()
        self._has_started = False

    @workflow.run
    async def run(self, refund_id: UUID) -> bool:
        """Whether the refund's workflow was started again."""
        await self.until_no_news(partial(self._look, refund_id))
        return self._has_started

    async def _look(self, refund_id: UUID) -> bool:
        start = partial(self._start_again, refund_id)
        return await poll(start, longest=_LONGEST_PAUSE, wait=workflow.sleep)

    async def _start_again(self, refund_id: UUID) -> bool | None:
        """Start the refund's workflow if the money is owed; True when nothing is owed, None while something may be."""
        check = partial(provider_step, RefundActivities.take_back, refund_id, "check it again", 0, task_queue=REFUNDS)
        seen: SeenRefund | None = None
        if not await check():  # first, so that the payment service posts it while the reservation service is away
            return True
        if workflow.patched("a refund that is started again is checked until nothing is owed"):
            seen = await local_step(ReturnedTickets.see_refund, refund_id, "see whether it is settled")
            if not await check():
                return True
            request = await local_step(ReturnedTickets.take_back_as_seen, seen, "it is pending again")
        else:
            take_back = partial(local_step, ReturnedTickets.take_back_refund, refund_id, "it is pending again")
            request = await poll(take_back, longest=_LONGEST_PAUSE, wait=workflow.sleep)
        if not request:
            return None
        try:
            await start_refund(request)
        except WorkflowAlreadyStartedError:
            return None if workflow.patched("a refund whose workflow runs is checked again") else True
        self._has_started = True
        return None if seen else True
