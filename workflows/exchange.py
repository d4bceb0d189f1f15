"""The life of an exchange: the new seat is held and the difference is taken before the old seat is let go.

Until the swap, which is one transaction, the ticket is as it was: so what is undone was never given away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.payment.payments import Authorization, AuthorizationResult, Authorize, OfExchange, PaymentActivities
    from activities.reservation.exchanges import BuyerActs, ExchangeActivities, Fail
    from domain.bookings import BookingStatus, OperatorAction
    from domain.exchanges import Exchange, ExchangeOutcome, ExchangeRequest, ExchangeState, Payment
    from domain.money import Money
    from domain.problems import Problem
    from domain.refunds import RefundCause, RefundRequest
    from temporal import search_attributes
    from temporal.policies import provider, transaction
    from temporal.queues import RESERVATION
    from temporal.saga import Saga, shielded
    from workflows import refusals
    from workflows.attention import RELEASE_SEATS, RETURN_MONEY, SWAP_SEATS, Attention
    from workflows.refund import RefundWorkflow, refund_workflow_id, search_attributes_of_refund

_A_MOMENT = timedelta(milliseconds=1)

# How long to leave a buyer who acts at the provider alone before we ask; a webhook only makes it sooner. It doubles.
_FIRST_LOOK, _LONGEST_LOOK = timedelta(seconds=2), timedelta(minutes=1)


def exchange_workflow_id(exchange_id: UUID) -> str:
    """The id of an exchange's workflow."""
    return f"exchange-{exchange_id}"


def search_attributes_of_exchange(request: ExchangeRequest) -> TypedSearchAttributes:
    """What Temporal's UI can find the exchange by; its status is the one of the booking, which stays as it is."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(search_attributes.STATUS, BookingStatus.CONFIRMED),
            SearchAttributePair(search_attributes.EVENT, str(request.event_id)),
            SearchAttributePair(search_attributes.BOOKING, str(request.booking_id)),
        ]
    )


class _GiveUp(Exception):
    """The exchange cannot be completed: everything is undone, latest first."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


@workflow.defn(name="Exchange")
class ExchangeWorkflow:
    """One exchange. Taken up again after its workflow was lost, it goes on from where its row is."""

    @workflow.init
    def __init__(self, request: ExchangeRequest) -> None:
        self._request = request
        self._saga = Saga()
        self._outcome: ExchangeOutcome | None = None
        self._abandoned: Problem | None = None  # why
        self._provider_has_news = False
        self._attention = Attention()

    # The story

    @workflow.run
    async def run(self, request: ExchangeRequest) -> Exchange:
        """The story, to its end: a cancellation from Temporal's UI is taken as the buyer's."""
        await shielded(self._live(), on_cancel=self._abandon)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._here

    async def _live(self) -> None:
        await self._hold_new_seat()
        if not self._here.is_over:
            await self._exchange()
        if self._here.refund_id:
            await self._begin_refund(self._here.refund_id)
        await self._step(ExchangeActivities.show_seats, self._here.id, "tell Redis")
        # Whatever arrives while a task ends its workflow makes the server drop that task, and the answer with it.
        await workflow.sleep(_A_MOMENT, summary="the order is answered before the end")

    async def _exchange(self) -> None:
        """What a dearer seat costs is taken first; what a cheaper one leaves is owed from the swap on."""
        try:
            if self._here.difference > 0:
                await self._authorize()  # undone by: return money
                await self._commit()  #     undone by: release seats
                await self._capture()  #    undone by: return money
        except _GiveUp as ending:
            await self._undo(ending.problem)
        else:
            await self._insist(SWAP_SEATS, self._swap)

    # The steps, each with what undoes it

    async def _hold_new_seat(self) -> None:
        """Undone by: release seats, which is always last."""
        self._outcome = await self._step(ExchangeActivities.hold_new_seat, self._request, "hold the new seat")
        if self._outcome.problem:
            # Not remembered for the key: a failed workflow's id may be used again.
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise ApplicationError(self._outcome.problem.detail, type=self._outcome.problem.type, non_retryable=True)

    async def _authorize(self) -> None:
        self._saga.on_failure(RETURN_MONEY, self._return_money)
        if self._here.state is ExchangeState.COMMITTED:
            return  # in a life before this one
        payment = self._request.payment
        if payment is None or self._abandoned:
            raise _GiveUp(self._abandoned or refusals.EXCHANGE_UNDONE)
        authorization = await self._ask_for_authorization(payment)
        if authorization.result is AuthorizationResult.ACTION_REQUIRED:
            authorization = await self._wait_for_buyer(payment, authorization)
        if authorization.result is not AuthorizationResult.AUTHORIZED:
            raise _GiveUp(refusals.why_not_exchanged(authorization))
        if self._abandoned:
            raise _GiveUp(self._abandoned)

    async def _ask_for_authorization(self, payment: Payment) -> Authorization:
        order = Authorize(
            booking_id=self._request.booking_id,
            exchange_id=self._request.id,
            amount=Money(amount=self._here.difference, currency=self._here.currency),
            deadline=self._request.deadline,
            **payment.model_dump(),
        )
        try:
            answer: Authorization = await self._pay(PaymentActivities.authorize, order, "authorize the difference")
        except FailureError as error:
            raise _GiveUp(refusals.EXCHANGE_UNREACHABLE) from error
        return answer

    async def _wait_for_buyer(self, payment: Payment, authorization: Authorization) -> Authorization:
        """3-D Secure: the provider tells us, or is asked, until the window closes; then it is asked once more."""
        until, pause = workflow.now() + self._request.window, _FIRST_LOOK
        order = BuyerActs(exchange_id=self._request.id, action_url=authorization.action_url)
        try:
            self._show(await self._step(ExchangeActivities.await_buyer, order, "the buyer has to act"))
        except FailureError as error:
            raise _GiveUp(refusals.EXCHANGE_UNDONE) from error
        while authorization.result is AuthorizationResult.ACTION_REQUIRED:
            await self._wait_for_news(min(pause, until - workflow.now()))
            pause = min(2 * pause, _LONGEST_LOOK)
            is_over = workflow.now() >= until
            if self._abandoned:
                raise _GiveUp(self._abandoned)
            authorization = await self._ask_for_authorization(payment)
            if is_over and authorization.result is AuthorizationResult.ACTION_REQUIRED:
                raise _GiveUp(refusals.EXCHANGE_TOO_LATE)
        return authorization

    async def _wait_for_news(self, pause: timedelta) -> None:
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._provider_has_news or self._abandoned is not None, timeout=pause)
        self._provider_has_news = False  # what comes from here on may be newer than the answer we are about to get

    async def _commit(self) -> None:
        try:
            outcome: ExchangeOutcome = await self._step(
                ExchangeActivities.commit_exchange, self._request.id, "commit", self._request.attempts
            )
        except FailureError as error:
            raise _GiveUp(refusals.EXCHANGE_UNDONE) from error
        if outcome.problem:
            raise _GiveUp(outcome.problem)
        assert outcome.exchange
        self._show(outcome.exchange)

    async def _capture(self) -> None:
        try:
            refusal = await self._pay(PaymentActivities.capture_difference, self._payment, "capture the difference")
        except FailureError as error:
            raise _GiveUp(refusals.EXCHANGE_UNREACHABLE) from error
        if refusal:
            raise _GiveUp(refusals.difference_refused(refusal))

    async def _swap(self) -> None:
        swapped = await self._step(ExchangeActivities.swap_seats, self._request.id, SWAP_SEATS, self._request.attempts)
        self._show(swapped)

    async def _begin_refund(self, refund_id: UUID) -> None:
        """The swap has made it; where this workflow dies before it is begun, it is found and begun all the same."""
        request = RefundRequest(
            id=refund_id,
            booking_id=self._request.booking_id,
            event_id=self._request.event_id,
            requested_by=self._request.requested_by,
            cause=RefundCause.EXCHANGE,
            reason="",
            body_sha256="",
            attempts=self._request.attempts,
            books_by_hand=True,
        )
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                RefundWorkflow.run,
                request,
                id=refund_workflow_id(refund_id),
                task_queue=RESERVATION,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                search_attributes=search_attributes_of_refund(request),
            )

    # Going back

    async def _undo(self, problem: Problem) -> None:
        """Compensate; the new seat goes back only when no money of the buyer's is kept for it any more."""
        await self._saga.compensate()

        async def release() -> None:
            order = Fail(exchange_id=self._request.id, problem=problem)
            self._show(await self._step(ExchangeActivities.fail_exchange, order, RELEASE_SEATS, self._request.attempts))

        await self._insist(RELEASE_SEATS, release)

    async def _return_money(self) -> None:
        async def return_money() -> None:
            await self._pay(PaymentActivities.return_difference, self._payment, "void or refund")

        await self._insist(RETURN_MONEY, return_money)

    async def _insist(self, step: str, effect: Callable[[], Awaitable[None]]) -> None:
        """Do what has to be done; where it keeps failing, wait for an operator instead of failing silently."""
        while True:
            try:
                return await effect()
            except FailureError as error:
                failure = error
            if await self._ask_operator(step, failure) is OperatorAction.RESOLVE:
                return None

    async def _ask_operator(self, step: str, error: FailureError) -> OperatorAction:
        workflow.logger.error("exchange needs attention at %s", step, exc_info=error)
        self._attention.park(step)
        workflow.set_current_details(f"NEEDS ATTENTION: {step} keeps failing ({error.cause or error})")
        workflow.upsert_search_attributes([search_attributes.STATUS.value_set(BookingStatus.NEEDS_ATTENTION)])
        await self._flag(ExchangeActivities.flag_exchange)
        action = await self._attention.decision()
        workflow.upsert_search_attributes([search_attributes.STATUS.value_set(BookingStatus.CONFIRMED)])
        await self._flag(ExchangeActivities.unflag_exchange)
        return action

    async def _flag(self, flag: Callable[[ExchangeActivities, UUID], Awaitable[None]]) -> None:
        with suppress(FailureError):
            await self._step(flag, self._request.id, "flag for an operator", 3)

    # Commands

    @workflow.update
    async def answered(self) -> ExchangeOutcome:
        """What became of the request, as soon as it is over, waits for its buyer, or waits for an operator."""
        await workflow.wait_condition(lambda: self._has_answer)
        assert self._outcome
        return self._outcome

    @workflow.update
    async def abandon(self) -> ExchangeOutcome:
        """The buyer gives up; what has come too far for that is completed. Answers how it ended."""
        self._abandon()
        await workflow.wait_condition(lambda: self._is_over)
        assert self._outcome
        return self._outcome

    @workflow.update
    async def operate(self, action: OperatorAction) -> None:
        """An operator's decision about the step that keeps failing."""
        self._attention.decide(action)

    @operate.validator
    def _may_operate(self, action: OperatorAction) -> None:
        self._attention.check(action)

    @workflow.signal
    def event_cancelled(self) -> None:
        """As if the buyer had given up, but told otherwise."""
        self._abandoned = refusals.EXCHANGE_OF_CANCELLED

    @workflow.signal
    def provider_has_news(self) -> None:
        """The provider says that something changed: ask it now."""
        self._provider_has_news = True

    # Where we are

    @property
    def _has_answer(self) -> bool:
        return self._is_over or self._waits_for_buyer or self._attention.step is not None

    @property
    def _is_over(self) -> bool:
        return self._outcome is not None and (self._outcome.exchange is None or self._outcome.exchange.is_over)

    @property
    def _waits_for_buyer(self) -> bool:
        return self._outcome is not None and self._here.state is ExchangeState.ACTION_REQUIRED

    @property
    def _here(self) -> Exchange:
        assert self._outcome is not None
        assert self._outcome.exchange is not None
        return self._outcome.exchange

    @property
    def _payment(self) -> OfExchange:
        return OfExchange(booking_id=self._request.booking_id, exchange_id=self._request.id)

    def _show(self, exchange: Exchange) -> None:
        self._outcome = ExchangeOutcome(body_sha256=self._request.body_sha256, exchange=exchange)
        workflow.set_current_details(f"{exchange.old_seat} for {exchange.seat}: {exchange.state}")

    def _abandon(self) -> None:
        self._abandoned = self._abandoned or refusals.EXCHANGE_ABANDONED

    async def _step(self, effect: Any, order: Any, summary: str, attempts: int = 0) -> Any:
        options = transaction(attempts)
        return await workflow.execute_local_activity_method(effect, order, summary=summary, **options)

    async def _pay(self, effect: Any, order: Any, summary: str) -> Any:
        options = provider(self._request.attempts)
        return await workflow.execute_activity_method(effect, order, summary=summary, **options)
