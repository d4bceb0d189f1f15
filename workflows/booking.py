"""The life of a booking: from the first click to the ticket, or back to where everything was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.payment.payments import Authorization, AuthorizationResult
    from activities.reservation.bookings import Release, ReservationActivities, StartPayment, Step
    from domain.bookings import (
        OVER,
        PAID,
        Booking,
        BookingRequest,
        BookingStatus,
        CancelOutcome,
        HoldOutcome,
        OperatorAction,
        PaymentCommand,
        PaymentOutcome,
    )
    from domain.problems import Problem, ProblemType
    from temporal.saga import Saga, shielded
    from temporal.search_attributes import STATUS
    from workflows import refusals
    from workflows.attention import ISSUE_TICKETS, RELEASE_SEATS, RETURN_MONEY, Attention
    from workflows.booking_row import Astray, BookingRow
    from workflows.orders import Order, Orders
    from workflows.till import Till

_A_MOMENT = timedelta(milliseconds=1)

# How long to leave a buyer who acts at the provider alone before we ask; a webhook only makes it sooner. It doubles.
_FIRST_LOOK, _LONGEST_LOOK = timedelta(seconds=2), timedelta(minutes=1)


class _NotPaid(Exception):
    """No money moved, for certain: the seats stay held and the buyer may try again."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class _GiveUp(Exception):
    """The booking cannot be completed: everything is undone, latest first, and it ends as `to`."""

    def __init__(self, to: BookingStatus, problem: Problem) -> None:
        self.to = to
        self.problem = problem


@workflow.defn(name="Booking")
class BookingWorkflow:
    """One booking. Updates hand in commands and wait for their outcome; `run` alone does things."""

    @workflow.init
    def __init__(self, request: BookingRequest) -> None:
        self._request = request
        self._saga = Saga()
        self._row = BookingRow(request.policy.compensation_attempts)
        self._till = Till(request.policy)
        self._orders = Orders()
        self._hold: HoldOutcome | None = None
        self._cancel_requested = False
        self._end_of_hold: asyncio.Task[None] | None = None
        self._abandon_requested = False
        self._provider_has_news = False
        self._buyer_had_to_act = False
        self._shown = BookingStatus.HELD  # what the search attribute says; the API starts us with it
        self._attention = Attention()

    # The story

    @workflow.run
    async def run(self, request: BookingRequest) -> Booking:
        """The story, to its end: a cancellation from Temporal's UI is taken as the buyer's, never as a sudden death."""
        await shielded(self._live(), on_cancel=self._request_cancel)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._booking

    async def _live(self) -> None:
        """Hold, then wait for an order to pay, a cancel, or the end of the hold."""
        await self._hold_places()
        while not self._has_ended:
            try:
                await self._go_on()
            except Astray:
                await self._find_way()
        if self._orders.pending:
            self._answer(self._orders.pending, problem=refusals.over(self._booking))
        if self._orders.latest and self._request.policy.spares_events and not self._may_end_at_once:
            # Whatever arrives while a task ends its workflow makes the server drop that task, and the answer with it.
            await workflow.sleep(_A_MOMENT, summary="the order is answered before the end")

    async def _go_on(self) -> None:
        if self._booking.status is not BookingStatus.HELD:
            # It lived before, in a workflow that was terminated or reset in mid-payment: money first, then the seats.
            self._saga.on_failure(RETURN_MONEY, self._return_money)
            await self._undo(BookingStatus.FAILED, refusals.UNDONE)
        elif order := await self._next_order():
            await self._take_payment(order)
        elif self._cancel_requested:
            await self._undo(BookingStatus.CANCELLED)
        elif self._has_news_to_heed:
            await self._see_whether_it_is_over()
        else:
            await self._undo(BookingStatus.EXPIRED)

    async def _take_payment(self, order: Order) -> None:
        """Who loses the seats at the last moment is voided, never refunded: so the seats come before the capture."""
        try:
            await self._start_payment()
            await self._authorize(order)  #    undone by: return money
            await self._commit_seats()  #      undone by: release seats
            await self._capture()  #           undone by: return money
            await self._issue_tickets()
        except _NotPaid as ending:
            await self._keep_hold()
            self._answer(order, problem=ending.problem)
        except _GiveUp as ending:
            await self._undo(ending.to, ending.problem)
            self._answer(order, problem=None if self._booking.status in PAID else ending.problem)
        else:
            self._answer(order)

    # The steps, each with what undoes it

    async def _hold_places(self) -> None:
        self._hold = await self._row.hold(self._request)
        if self._hold.problem:
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise ApplicationError(self._hold.problem.detail, type=self._hold.problem.type, non_retryable=True)
        self._tell(f"Held until {self._booking.expires_at:%H:%M:%S} UTC")

    async def _next_order(self) -> Order | None:
        left = self._booking.expires_at - workflow.now()
        if left > timedelta(0) and not self._cancel_requested:
            if self._request.policy.spares_events:
                await self._wait_for_command(left)
            else:
                await self._wait_for_command_with_own_timer(left)
        return None if self._cancel_requested else self._orders.pending

    async def _wait_for_command(self, left: timedelta) -> None:
        """One timer for the whole hold; while the buyer pays it is left alone, since to cancel it costs an event."""
        if self._end_of_hold is None:
            self._end_of_hold = asyncio.create_task(workflow.sleep(left, summary="the hold ends"))
        end = self._end_of_hold
        await workflow.wait_condition(lambda: self._is_commanded or self._has_news_to_heed or end.done())

    async def _wait_for_command_with_own_timer(self, left: timedelta) -> None:
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._is_commanded, timeout=left, timeout_summary="the hold ends")

    async def _start_payment(self) -> None:
        order = StartPayment(booking=self._booking, window=self._request.policy.payment_window)
        await self._change(ReservationActivities.start_payment, order, "keep the seats while paying")

    async def _authorize(self, order: Order) -> None:
        if self._is_free:
            return self._heed_cancel()
        self._saga.on_failure(RETURN_MONEY, self._return_money)
        authorization = await self._ask_for_authorization(order.command)
        if authorization.result is AuthorizationResult.ACTION_REQUIRED:
            authorization = await self._wait_for_buyer(order, authorization)
        if self._booking.status is BookingStatus.ACTION_REQUIRED:
            await self._change(ReservationActivities.resume_payment, self._step, "the buyer has acted")
        if authorization.result is not AuthorizationResult.AUTHORIZED:
            self._saga.drop(RETURN_MONEY)
            raise _NotPaid(refusals.why_not_paid(authorization))
        self._heed_cancel()

    async def _ask_for_authorization(self, command: PaymentCommand) -> Authorization:
        try:
            return await self._till.authorize(self._booking, command)
        except FailureError as error:
            raise _GiveUp(BookingStatus.FAILED, refusals.PROVIDER_UNREACHABLE) from error

    async def _wait_for_buyer(self, order: Order, authorization: Authorization) -> Authorization:
        """3-D Secure: the buyer acts at the provider, who tells us, or is asked, until the payment's window closes."""
        self._buyer_had_to_act = True
        until = workflow.now() + self._request.policy.payment_window
        await self._change(ReservationActivities.require_action, self._step, "the buyer has to act")
        self._answer(order, action_url=authorization.action_url)
        pause = _FIRST_LOOK
        self._abandon_requested = False
        while authorization.result is AuthorizationResult.ACTION_REQUIRED:
            await self._wait_for_news(min(pause, until - workflow.now()))
            pause = min(2 * pause, _LONGEST_LOOK)
            is_over = self._gives_up or workflow.now() >= until
            if not is_over or (self._request.policy.asks_at_last and not self._gives_up):
                authorization = await self._ask_for_authorization(order.command)
            if is_over and authorization.result is AuthorizationResult.ACTION_REQUIRED:
                await self._return_money()
                self._saga.drop(RETURN_MONEY)
                raise _NotPaid(refusals.ABANDONED if self._abandon_requested else refusals.TOO_LATE)
        return authorization

    async def _wait_for_news(self, pause: timedelta) -> None:
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._provider_has_news or self._gives_up, timeout=pause)
        self._provider_has_news = False  # what comes from here on may be newer than the answer we are about to get

    async def _commit_seats(self) -> None:
        try:
            problem = await self._row.commit()
        except FailureError as error:
            raise _GiveUp(BookingStatus.FAILED, refusals.UNDONE) from error
        if problem:
            is_cancel = problem.type is ProblemType.WRONG_STATE  # the buyer's, which we could not hear meanwhile
            raise _GiveUp(BookingStatus.CANCELLED if is_cancel else BookingStatus.FAILED, problem)
        self._heed_cancel()

    async def _capture(self) -> None:
        if self._is_free:
            return
        try:
            refusal = await self._till.capture(self._booking)
        except FailureError as error:
            raise _GiveUp(BookingStatus.FAILED, refusals.PROVIDER_UNREACHABLE) from error
        if refusal:
            raise _GiveUp(BookingStatus.FAILED, refusals.capture_refused(refusal))

    async def _issue_tickets(self) -> None:
        await self._insist(ISSUE_TICKETS, self._row.issue)
        self._tell("Confirmed")

    async def _keep_hold(self) -> None:
        await self._change(ReservationActivities.keep_hold, self._step, "keep the seats for another try")

    # Going back

    async def _undo(self, to: BookingStatus, problem: Problem | None = None) -> None:
        """Compensate, latest effect first; seats go back only when no money of the buyer's is kept any more."""
        await self._saga.compensate()
        release = Release(booking=self._booking, to=to, reason=problem.type if problem else None)
        await self._insist(RELEASE_SEATS, lambda: self._row.release(release))
        if self._booking.status in PAID:
            return self._tell("Confirmed by another worker")
        self._tell(f"Ended as {to}" + (f": {problem.detail}" if problem else ""))
        if self._orders.pending:
            self._answer(self._orders.pending, problem=problem or refusals.over(self._booking))

    async def _return_money(self) -> None:
        """Nobody gets both the tickets and the money, also where another worker still carries out the order."""
        if self._request.policy.forbids_tickets:
            await self._row.forbid_tickets()
            if self._booking.status in PAID:
                return
        await self._insist(RETURN_MONEY, lambda: self._till.return_money(self._booking))

    def _heed_cancel(self) -> None:
        if self._cancel_requested:
            raise _GiveUp(BookingStatus.CANCELLED, refusals.CANCELLED)

    async def _insist(self, step: str, effect: Callable[[], Awaitable[None]]) -> None:
        """Do what has to be done; where it keeps failing, wait for an operator instead of failing silently."""
        while True:
            try:
                return await effect()
            except FailureError as error:
                failure = error
            believed = self._booking.version
            with suppress(FailureError):
                await self._row.adopt(attempts=3)
            if self._has_ended:
                return None  # the effect was made, and only its answer was lost
            if self._booking.version != believed:
                if step == RELEASE_SEATS and self._request.policy.pays_back_the_unknown:
                    await self._return_money()
                continue
            action = await self._ask_operator(step, failure)
            if action is OperatorAction.RESOLVE:
                return None
            if action is OperatorAction.COMPENSATE:
                await self._turn_back(step)
                return None

    async def _turn_back(self, step: str) -> None:
        """Make sure that the step cannot have its effect any more before everything is undone.

        Flagging the row gives it a new version, so a late try of the step finds itself stale; and a row that turns out
        to have reached its end is left there: nobody gets both the tickets and the money.
        """
        await self._row.flag(step, attempts=0)
        await self._row.adopt()
        if not self._has_ended:
            raise _GiveUp(BookingStatus.FAILED, refusals.UNDONE)

    async def _ask_operator(self, step: str, error: FailureError) -> OperatorAction:
        workflow.logger.error("saga needs attention at %s", step, exc_info=error)
        self._attention.park(step)
        workflow.set_current_details(f"NEEDS ATTENTION: {step} keeps failing ({error.cause or error})")
        if self._shown is not BookingStatus.NEEDS_ATTENTION:
            self._shown = BookingStatus.NEEDS_ATTENTION
            workflow.upsert_search_attributes([STATUS.value_set(self._shown)])
        if self._orders.pending:
            self._answer(self._orders.pending, problem=refusals.PARKED)
        await self._row.flag(step, attempts=3)
        return await self._attention.decision()

    # Where the row has moved on without us: after a reset, or when an answer was lost for good

    async def _change(self, change: Callable[[Any, Any], Awaitable[Booking]], order: Step, summary: str) -> None:
        await self._row.change(change, order, summary)
        self._tell(summary.capitalize())

    async def _find_way(self) -> None:
        believed = self._booking.version
        await self._row.adopt()
        if self._booking.version == believed and not self._has_ended:
            # The row stands where we thought, and still the step is impossible: go back rather than round in circles.
            self._saga.on_failure(RETURN_MONEY, self._return_money)
            await self._undo(BookingStatus.FAILED, refusals.UNDONE)

    async def _see_whether_it_is_over(self) -> None:
        """A task that answers an order and ends the saga is dropped where news come meanwhile, with the order."""
        self._provider_has_news = False
        believed = self._booking
        await self._row.adopt()
        if self._has_ended:
            return self._tell("Confirmed; the order's answer was lost")
        self._row.known = believed  # what goes on without us is for the order to find out, when it comes again

    # Commands

    @workflow.update
    async def hold(self, asked_by: str) -> HoldOutcome:
        """The outcome of the hold that the workflow was started for."""
        await workflow.wait_condition(lambda: self._hold is not None)
        assert self._hold is not None
        return self._hold.model_copy(update={"asked_by": asked_by})

    @workflow.update
    async def pay(self, command: PaymentCommand) -> PaymentOutcome:
        """Pay for what is held; one attempt at a time."""
        if not self._hold:
            await self._known_hold()
            self._check_payable(command)
        order = self._orders.hand_in(command)
        await workflow.wait_condition(lambda: order.outcome is not None)
        assert order.outcome is not None
        return order.outcome

    @pay.validator
    def _may_pay(self, command: PaymentCommand) -> None:
        if self._hold:
            self._check_payable(command)

    async def _known_hold(self) -> None:
        """The row may be seen, and paid, before its workflow knows of it: where the answer to the hold was lost."""
        await workflow.wait_condition(lambda: self._hold is not None)

    def _check_payable(self, command: PaymentCommand) -> None:
        if self._row.known is None or self._row.known.status in OVER or self._cancel_requested:
            raise ApplicationError("The booking cannot be paid.", type=ProblemType.WRONG_STATE)
        if self._orders.pending or self._row.known.status is not BookingStatus.HELD:
            raise ApplicationError("A payment is under way.", type=ProblemType.PAYMENT_IN_PROGRESS)
        if workflow.now() >= command.deadline:
            raise ApplicationError("The call came too late.", type=ProblemType.PAYMENT_TOO_LATE)

    @workflow.query
    def why_not_paid(self, order: str) -> Problem | None:
        """Why an order that was answered while its buyer had to act came to nothing, if it did; by its update's id."""
        return self._orders.why_not_paid(order)

    @workflow.update
    async def abandon(self) -> CancelOutcome:
        """End the payment that waits for its buyer, and keep the hold, so that the buyer may pay otherwise."""
        self._abandon_requested = True
        await workflow.wait_condition(lambda: not self._pays or self._attention.step is not None)
        if self._booking.status is BookingStatus.HELD:
            return CancelOutcome(booking=self._booking)
        return CancelOutcome(problem=refusals.why_not_cancelled(self._booking))

    @abandon.validator
    def _may_abandon(self) -> None:
        if (
            self._row.known is None
            or self._row.known.status is not BookingStatus.ACTION_REQUIRED
            or self._attention.step
        ):
            raise ApplicationError("No payment waits for its buyer.", type=ProblemType.WRONG_STATE)

    @workflow.update
    async def cancel(self) -> CancelOutcome:
        """Let go; an attempt in flight is waited for and undone, unless its money is being taken already."""
        self._request_cancel()
        if not self._hold:
            await self._known_hold()
            self._check_cancellable()
        await workflow.wait_condition(lambda: self._has_ended or self._attention.step is not None)
        if self._booking.status is BookingStatus.CANCELLED:
            return CancelOutcome(booking=self._booking)
        return CancelOutcome(problem=refusals.why_not_cancelled(self._booking))

    @cancel.validator
    def _may_cancel(self) -> None:
        if self._hold:
            self._check_cancellable()

    def _check_cancellable(self) -> None:
        if self._row.known is None or self._row.known.status in OVER or self._attention.step:
            raise ApplicationError("The booking cannot be cancelled.", type=ProblemType.WRONG_STATE)

    @workflow.update
    async def operate(self, action: OperatorAction) -> None:
        """An operator's decision about the step that keeps failing."""
        self._attention.decide(action)

    @operate.validator
    def _may_operate(self, action: OperatorAction) -> None:
        self._attention.check(action)

    @workflow.signal
    def provider_has_news(self) -> None:
        """The provider says that something changed: ask it now."""
        self._provider_has_news = True

    # Where we are

    def _request_cancel(self) -> None:
        self._cancel_requested = True

    @property
    def _gives_up(self) -> bool:
        return self._cancel_requested or self._abandon_requested

    @property
    def _pays(self) -> bool:
        return self._booking.status in (BookingStatus.PAYING, BookingStatus.ACTION_REQUIRED)

    @property
    def _booking(self) -> Booking:
        return self._row.booking

    @property
    def _has_news_to_heed(self) -> bool:
        return self._provider_has_news and self._request.policy.looks_on_news

    @property
    def _is_commanded(self) -> bool:
        return self._orders.pending is not None or self._cancel_requested

    @property
    def _step(self) -> Step:
        return self._row.step

    @property
    def _is_free(self) -> bool:
        return self._booking.amount == 0  # no provider takes nothing

    @property
    def _has_ended(self) -> bool:
        return self._row.has_ended

    @property
    def _may_end_at_once(self) -> bool:
        """Nobody tells it anything while its buyer need not act; and a caller repeats an order whose answer is lost."""
        return self._request.policy.ends_at_once and not self._buyer_had_to_act

    def _answer(self, order: Order, *, problem: Problem | None = None, action_url: str | None = None) -> None:
        self._orders.answer(order, self._booking, problem=problem, action_url=action_url)

    def _tell(self, details: str) -> None:
        workflow.set_current_details(details)
        if self._shown is self._booking.status:
            return
        if self._booking.status is BookingStatus.PAYING and self._request.policy.spares_events:
            return  # over before anybody could look for it, and an upsert costs an event and two writes
        self._shown = self._booking.status
        workflow.upsert_search_attributes([STATUS.value_set(self._booking.status)])
