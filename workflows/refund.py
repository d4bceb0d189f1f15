"""The life of a refund: the tickets are void at once, and the money goes back until the provider says that it has."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.payment.refunds import GiveBack, RefundActivities
    from activities.reservation.refunds import LowerRefund, NoteProviderRefund, ReturnedTickets
    from domain.bookings import BookingStatus
    from domain.payments import GivenRefund, ProviderRefundState
    from domain.refunds import Refund, RefundOutcome, RefundRequest, RefundState
    from temporal.queues import REFUNDS
    from temporal.saga import shielded
    from workflows import ids
    from workflows.support import problems
    from workflows.support.operator_gate import RETURN_MONEY, SETTLE_REFUND, NeedsOperator, OperatorGate
    from workflows.support.polling import doubling, poll
    from workflows.support.steps import local_step, provider_step

_LONGEST_PAUSE = timedelta(hours=1)  # a provider may take days over a refund

# A refund that failed is tried again under a new key, so often before an operator decides.
_TRIES, _FIRST_PAUSE = 3, timedelta(seconds=2)


@workflow.defn(name="Refund")
class RefundWorkflow(OperatorGate):
    """One refund. Once accepted it is never undone: the tickets are void, so the money is owed until it has arrived."""

    @workflow.init
    def __init__(self, request: RefundRequest) -> None:
        """Nothing is accepted yet; Temporal's UI shows `refunding` from the start."""
        super().__init__(shown=BookingStatus.REFUNDING)
        self._request = request
        self._outcome: RefundOutcome | None = None
        self._number = 1  # of the try to give the money back

    # The life of a refund

    @workflow.run
    async def run(self, request: RefundRequest) -> Refund | RefundOutcome:
        """From the void tickets to the returned money; a cancellation from Temporal's UI changes nothing.

        Returns:
            The refund as it ended, or the refusal of the request.
        """
        await shielded(self._live(), on_cancel=lambda: None)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._accepted.refund or self._accepted

    async def _live(self) -> None:
        self._outcome = await local_step(ReturnedTickets.accept_refund, self._request, "void the tickets")
        if self._outcome.problem:
            await problems.refuse(self._outcome.problem)
            return
        if not self._had_succeeded():
            await self.must(RETURN_MONEY, self._return_money, resolve=self._record_manual_refund)
            await self.must(SETTLE_REFUND, self._settle)
        if not self._accepted.places_shown:
            await local_step(ReturnedTickets.show_places, self._request.booking_id, "show Redis the places")

    # Its steps

    def _had_succeeded(self) -> bool:
        """Whether an earlier workflow of this refund has completed it, perhaps by an operator's hand."""
        succeeded = self._refund.state is RefundState.SUCCEEDED
        return succeeded and workflow.patched("a refund that had succeeded is not made again")

    async def _return_money(self) -> None:
        """Try until the money has gone back, each time with a key of its own.

        Raises:
            NeedsOperator: The provider refuses again and again; only a person can end that.
            FailureError: The provider cannot be reached.
        """
        if not self._refund.amount:
            return
        pauses = doubling(_FIRST_PAUSE, _LONGEST_PAUSE)
        for tries_left in reversed(range(_TRIES)):
            answer = await poll(self._ask_provider, longest=_LONGEST_PAUSE, wait=self.notification.wait)
            if answer.state is ProviderRefundState.SUCCEEDED:
                await self._take_over(answer)
                return
            self._number += 1
            if tries_left:
                await workflow.sleep(next(pauses))
        raise NeedsOperator(answer.code or "the provider does not say why")

    async def _take_over(self, given: GivenRefund) -> None:
        """Count what the provider has given back without our request; then this refund may be of less."""
        for made in given.by_provider:
            note = NoteProviderRefund(booking_id=self._request.booking_id, made=made)
            await local_step(ReturnedTickets.note_provider_refund, note, "count what the provider gave back")
        if given.amount is not None and given.amount < self._refund.amount:
            lower = LowerRefund(refund_id=self._request.id, amount=given.amount)
            await local_step(ReturnedTickets.lower_refund, lower, "refund what was left")

    async def _ask_provider(self) -> GivenRefund | None:
        """Begin this try, or ask what became of it; None while it is pending, for then no money has gone back."""
        answer = await provider_step(
            RefundActivities.give_refund, self._give_back(), RETURN_MONEY, self._request.attempts, task_queue=REFUNDS
        )
        return None if answer.state is ProviderRefundState.PENDING else answer

    async def _record_manual_refund(self) -> None:
        """Post to the ledger what an operator has given back by hand."""
        posted = await provider_step(
            RefundActivities.note_by_hand, self._give_back(), "post the manual refund", self._request.attempts
        )
        if posted:
            await self._take_over(posted)

    def _give_back(self) -> GiveBack:
        return GiveBack(
            refund_id=self._request.id,
            booking_id=self._request.booking_id,
            amount=self._refund.amount,
            number=self._number,
            payments=self._accepted.payments,
            accepted_at=self._refund.created_at,
        )

    async def _settle(self) -> None:
        refund = await local_step(
            ReturnedTickets.settle_refund, self._request.id, SETTLE_REFUND, self._request.attempts
        )
        self._outcome = self._accepted.model_copy(update={"refund": refund})

    # While it waits for an operator

    async def flag(self, step: str) -> None:
        """Let the refund say that it waits for an operator."""
        with suppress(FailureError):
            await local_step(ReturnedTickets.flag_refund, self._request.id, "flag for an operator", 3)

    async def unflag(self) -> None:
        """Let the refund say that it does not wait any more."""
        self.show_status(BookingStatus.REFUNDING)
        with suppress(FailureError):
            await local_step(ReturnedTickets.unflag_refund, self._request.id, "unflag", 3)

    # Commands

    @workflow.update
    async def accepted(self) -> RefundOutcome:
        """Answer what became of the request that the workflow was started for."""
        await workflow.wait_condition(lambda: self._outcome is not None)
        return self._accepted

    @property
    def _accepted(self) -> RefundOutcome:
        assert self._outcome is not None, "nothing is accepted yet"
        return self._outcome

    @property
    def _refund(self) -> Refund:
        assert self._accepted.refund is not None
        return self._accepted.refund


async def start_refund(request: RefundRequest) -> workflow.ChildWorkflowHandle[Any, Refund | RefundOutcome]:
    """Start a refund from another workflow, which it outlives.

    Raises:
        WorkflowAlreadyStartedError: It runs.
    """
    return await workflow.start_child_workflow(
        RefundWorkflow.run,
        request,
        parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        **ids.start_refund(request),
    )
