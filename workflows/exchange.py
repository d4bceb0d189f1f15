"""The life of an exchange: the new seat is held and the difference is taken before the old seat is given up.

Until the swap, which is one transaction, the ticket stays as it was, so an undo takes nothing away from its buyer.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.payment.payments import AuthorizationResult
    from activities.reservation.exchanges import BuyerActs, ExchangeActivities, Fail
    from domain.bookings import BookingStatus
    from domain.exchanges import Exchange, ExchangeOutcome, ExchangeRequest, ExchangeState
    from domain.money import Money
    from domain.problems import Problem
    from domain.refunds import RefundCause, RefundRequest
    from temporal.saga import Aborted, Saga, aborting, shielded
    from workflows.refund import start_refund
    from workflows.support import problems
    from workflows.support.operator_gate import RELEASE_SEATS, RETURN_MONEY, SWAP_SEATS, OperatorGate, done_by_hand
    from workflows.support.payment_steps import PaymentSteps
    from workflows.support.steps import Activity, Request, local_step


@workflow.defn(name="Exchange")
class ExchangeWorkflow(OperatorGate):
    """One exchange. A workflow that replaces a lost one goes on from the exchange's row."""

    @workflow.init
    def __init__(self, request: ExchangeRequest) -> None:
        """Nothing is held yet; Temporal's UI shows the booking's status, which an exchange does not change."""
        super().__init__(shown=BookingStatus.CONFIRMED)
        self._request = request
        self._payments = PaymentSteps(request.booking_id, request.attempts, exchange_id=request.id)
        self._outcome: ExchangeOutcome | None = None
        self._abandoned: Problem | None = None  # why

    # The life of an exchange

    @workflow.run
    async def run(self, request: ExchangeRequest) -> Exchange | ExchangeOutcome:
        """From the hold to the end; a cancellation from Temporal's UI counts as the buyer's, and loses no effect.

        Returns:
            The exchange as it ended, or the refusal of the request.
        """
        await shielded(self._live(), on_cancel=self._abandon)
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self._outcome
        return self._outcome.exchange or self._outcome

    async def _live(self) -> None:
        self._outcome = await local_step(ExchangeActivities.hold_new_seat, self._request, "hold the new seat")
        if self._outcome.problem:
            await problems.refuse(self._outcome.problem)
            return
        if not self._exchange.is_over:
            await self._carry_out()
        if self._exchange.refund_id:
            await self._start_refund(self._exchange.refund_id)
        await local_step(ExchangeActivities.show_seats, self._exchange.id, "show Redis the seats")
        # Where a signal arrives during a task that ends its workflow, the server drops that task and its answers.
        await workflow.sleep(timedelta(milliseconds=1), summary="the request is answered before the end")

    async def _carry_out(self) -> None:
        """What a dearer seat costs is taken before the swap; what a cheaper one leaves is owed from the swap on."""
        try:
            async with Saga() as saga:
                if self._exchange.difference > 0:
                    await saga.step("authorize", self._authorize(), undo=self._return_money)
                    await self._commit()  # undone by the release of the new seat, always last
                    await self._payments.capture()  # undone as the authorization is: what is taken is refunded
                await self.must(SWAP_SEATS, self._swap)
        except Aborted as why:
            if self._exchange.state is not ExchangeState.COMPLETED:
                await self.must(RELEASE_SEATS, partial(self._release, why.problem or problems.EXCHANGE_UNDONE))

    # Its steps

    async def _authorize(self) -> None:
        if self._exchange.state is ExchangeState.COMMITTED:
            return  # by an earlier workflow of this exchange
        payment = self._request.payment
        if payment is None or self._abandoned:
            raise Aborted(self._abandoned or problems.EXCHANGE_UNDONE)
        authorization = await self._payments.authorize(
            Money(amount=self._exchange.difference, currency=self._exchange.currency),
            payment,
            self._request.deadline,
            window=self._request.window,
            notification=self.notification,
            require_action=self._require_action,
            gives_up=lambda: self._abandoned is not None,
        )
        if authorization.result is AuthorizationResult.ACTION_REQUIRED:
            raise Aborted(self._abandoned or problems.EXCHANGE_TOO_LATE)
        if authorization.result is not AuthorizationResult.AUTHORIZED:
            raise Aborted(problems.why_not_exchanged(authorization))
        if self._abandoned:
            raise Aborted(self._abandoned)

    async def _require_action(self, action_url: str | None) -> None:
        buyer_acts = BuyerActs(exchange_id=self._request.id, action_url=action_url)
        with aborting(problems.EXCHANGE_UNDONE):
            await self._change(ExchangeActivities.await_buyer, buyer_acts, "the buyer has to act", max_attempts=0)

    async def _commit(self) -> None:
        with aborting(problems.EXCHANGE_UNDONE):
            outcome = await local_step(
                ExchangeActivities.commit_exchange, self._request.id, "commit", self._request.attempts
            )
        if outcome.problem:
            raise Aborted(outcome.problem)
        assert outcome.exchange
        self._show(outcome.exchange)

    async def _swap(self) -> None:
        await self._change(ExchangeActivities.swap_seats, self._request.id, SWAP_SEATS)

    async def _start_refund(self, refund_id: UUID) -> None:
        """The swap has made the refund; if this workflow dies before it is started, workflow recovery starts it."""
        request = RefundRequest(
            id=refund_id,
            booking_id=self._request.booking_id,
            event_id=self._request.event_id,
            requested_by=self._request.requested_by,
            cause=RefundCause.EXCHANGE,
            reason="",
            body_sha256="",
            attempts=self._request.attempts,
        )
        with suppress(WorkflowAlreadyStartedError):
            await start_refund(request)

    # Going back

    async def _return_money(self) -> None:
        """Unless the exchange is completed, by this workflow before it was reset: no buyer gets both seat and money."""
        if workflow.patched("a completed exchange is not undone"):
            known = await local_step(ExchangeActivities.look_at_exchange, self._request.id, "look at the row")
            if known.state is ExchangeState.COMPLETED:
                self._show(known)
                return
        await self.must(RETURN_MONEY, self._payments.return_money, resolve=done_by_hand)

    async def _release(self, problem: Problem) -> None:
        """Only when no money of the buyer's is kept for the new seat any more."""
        failure = Fail(exchange_id=self._request.id, problem=problem)
        await self._change(ExchangeActivities.fail_exchange, failure, RELEASE_SEATS)

    async def flag(self, step: str) -> None:
        """Let the exchange say that it waits for an operator."""
        with suppress(FailureError):
            await local_step(ExchangeActivities.flag_exchange, self._request.id, "flag for an operator", 3)

    async def unflag(self) -> None:
        """Let the exchange say that it does not wait any more."""
        self.show_status(BookingStatus.CONFIRMED)
        with suppress(FailureError):
            await local_step(ExchangeActivities.unflag_exchange, self._request.id, "unflag", 3)

    # Commands

    @workflow.update
    async def answered(self) -> ExchangeOutcome:
        """Answer the request as soon as it is over, waits for its buyer, or waits for an operator."""
        await workflow.wait_condition(lambda: self._is_over() or self._waits_for_buyer() or self.waits_at is not None)
        assert self._outcome
        return self._outcome

    @workflow.update
    async def abandon(self) -> ExchangeOutcome:
        """Give up for the buyer; what is too late for that is completed. Answers how it ended, or that it is parked."""
        self._abandon()
        is_answered_parked = workflow.patched("an abandoned exchange that waits for an operator is answered")
        await workflow.wait_condition(lambda: self._is_over() or (is_answered_parked and self.waits_at is not None))
        assert self._outcome
        return self._outcome

    @workflow.signal
    def event_cancelled(self) -> None:
        """Give up, as for the buyer but for another reason."""
        self._abandoned = problems.EXCHANGE_OF_CANCELLED

    # What the commands and the life share

    def _abandon(self) -> None:
        self._abandoned = self._abandoned or problems.EXCHANGE_ABANDONED

    def _is_over(self) -> bool:
        return self._outcome is not None and (self._outcome.exchange is None or self._outcome.exchange.is_over)

    def _waits_for_buyer(self) -> bool:
        return self._outcome is not None and self._exchange.state is ExchangeState.ACTION_REQUIRED

    @property
    def _exchange(self) -> Exchange:
        assert self._outcome
        assert self._outcome.exchange
        return self._outcome.exchange

    async def _change(
        self, activity: Activity[Request, Exchange], request: Request, summary: str, max_attempts: int | None = None
    ) -> None:
        attempts = self._request.attempts if max_attempts is None else max_attempts
        self._show(await local_step(activity, request, summary, attempts))

    def _show(self, exchange: Exchange) -> None:
        self._outcome = ExchangeOutcome(body_sha256=self._request.body_sha256, exchange=exchange)
        workflow.set_current_details(f"{exchange.old_seat} for {exchange.seat}: {exchange.state}")
