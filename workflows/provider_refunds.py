"""Money that the provider gave back without our request, for example from its dashboard: it is found and counted."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.payment.refunds import LearnRefunds, RefundActivities
    from activities.reservation.refunds import NoteProviderRefund, ReturnedTickets
    from temporal.queues import REFUNDS
    from workflows.support.news import LooksAgain
    from workflows.support.steps import local_step, provider_step


@workflow.defn
class ProviderRefunds(LooksAgain):
    """Asks the provider: its notification is only a reason to ask."""

    @workflow.run
    async def run(self, booking_id: UUID) -> int:
        """How many such refunds the booking has."""
        return await self.until_no_news(partial(self._look, booking_id))

    async def _look(self, booking_id: UUID) -> int:
        payments = await local_step(ReturnedTickets.settled_payments, booking_id, "which payments stand")
        if not payments:
            return 0
        order = LearnRefunds(booking_id=booking_id, exchanges=tuple(payments))
        learn, summary = RefundActivities.learn_provider_refunds, "what the provider gave back"
        found = await provider_step(learn, order, summary, 0, task_queue=REFUNDS)
        for made in found:
            note = NoteProviderRefund(booking_id=booking_id, made=made)
            await local_step(ReturnedTickets.note_provider_refund, note, "count what the provider gave back")
        return len(found)
