"""The life of a booking: from the first click to the ticket, or back to the state before it."""

from __future__ import annotations

from functools import partial

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.payment.payments import AuthorizationResult
    from domain.bookings import (
        PAID,
        UNFINISHED,
        Booking,
        BookingRequest,
        BookingStatus,
        CancelOutcome,
        HoldOutcome,
        PaymentCommand,
        PaymentOutcome,
    )
    from domain.money import Money
    from domain.problems import Problem
    from temporal.metrics import count_booking, count_held
    from temporal.saga import Aborted, NoEffect, Saga, shielded
    from workflows.support import problems
    from workflows.support.booking_state import BookingState, StateConflict
    from workflows.support.buyer_commands import BuyerCommands, PendingPayment
    from workflows.support.operator_gate import ISSUE_TICKETS, RELEASE_SEATS, RETURN_MONEY, OperatorGate, done_by_hand
    from workflows.support.payment_steps import PaymentSteps


class NotPaid(NoEffect):
    """No money moved, for certain: the seats stay held and the buyer may try again."""


@workflow.defn(name="Booking")
class BookingWorkflow(OperatorGate):
    """One booking. Updates hand in commands and wait for their outcome; only `run` has effects."""

    @workflow.init
    def __init__(self, request: BookingRequest) -> None:
        """Nothing is held yet; Temporal's UI shows `held` from the start."""
        super().__init__(shown=BookingStatus.HELD)
        self._request, self._policy = request, request.policy
        self._reservation = BookingState(request.id, self._policy.compensation_attempts, changed=self._show)
        self._payments = PaymentSteps(
            request.id, self._policy.compensation_attempts, locally=self._policy.payment_steps == "local"
        )
        self._saga = Saga()
        self._commands = BuyerCommands()

    # The life of a booking

    @workflow.run
    async def run(self, request: BookingRequest) -> Booking | HoldOutcome:
        """From the hold to the end; a cancellation from Temporal's UI counts as the buyer's, and loses no effect.

        Returns:
            The booking as it ended, or the refusal of its hold.
        """
        await shielded(self._live(), on_cancel=self._commands.request_cancel)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._reservation.known or await self._reservation.known_hold()

    async def _live(self) -> None:
        hold = await self._reservation.hold(self._request)
        if hold.problem:
            count_booking("refused", seats=0)
            await problems.refuse(hold.problem)
            return
        is_new = self._booking.status is BookingStatus.HELD
        if is_new:
            count_held(self._booking.size)
        self._show(f"Held until {self._booking.expires_at:%H:%M:%S} UTC" if is_new else "Begun by an earlier workflow")
        while not self._reservation.is_over:
            try:
                await self._next_transition()
            except StateConflict:
                await self._resync()
        if self._commands.pending:
            self._reply(self._commands.pending, problems.already_ended(self._booking))
        count_booking(self._booking.status, self._booking.size)
        await self._commands.deliver_answer()

    async def _next_transition(self) -> None:
        if self._booking.status is not BookingStatus.HELD:
            # An earlier workflow of this booking was terminated or reset during a payment.
            await self._return_money()
            await self._end(BookingStatus.FAILED, problems.UNDONE)
            return
        await self._reservation.wait_while_held(unless=self._is_called)
        if self._commands.cancel_requested:
            await self._end(BookingStatus.CANCELLED)
        elif self._commands.pending:
            await self._pay(self._commands.pending)
        elif self.notification.has_arrived:
            self.notification.has_arrived = False
            if await self._reservation.check_completed():
                self._show("Confirmed; the command's answer was lost")
        else:
            await self._end(BookingStatus.EXPIRED)

    async def _pay(self, payment: PendingPayment) -> None:
        """The seats are sold before the money is taken: a buyer who loses them has a payment voided, not refunded."""
        is_free = self._booking.amount == 0  # a provider takes no payment of nothing
        try:
            await self._reservation.start_payment(self._policy.payment_window, payment.stored_id)
            async with self._saga as saga:
                if not is_free:
                    await saga.step("authorize", self._authorize(payment), undo=self._return_money)
                self._commands.heed_cancel()
                await self._reservation.commit()  # undone by the release, always last, which frees held and sold seats
                self._commands.heed_cancel()
                if not is_free:
                    await self._payments.capture()  # undone as the authorization is: what is taken is refunded
                await self.must(ISSUE_TICKETS, self._reservation.issue, compensate=self._reservation.forbid_late_issue)
        except NotPaid as why:
            await self._reservation.keep_hold(why.problem)
            self._reply(payment, why.problem)
        except Aborted as why:
            await self._end(why.status, why.problem)
            self._reply(payment, None if self._booking.status in PAID else why.problem)
        else:
            self._show("Confirmed")
            self._commands.observe_confirmation(payment)
            self._reply(payment)

    async def _authorize(self, payment: PendingPayment) -> None:
        async def require_action(action_url: str | None) -> None:
            self._commands.begin_challenge()
            await self._reservation.require_action(action_url)
            self._reply(payment, action_url=action_url)

        authorization = await self._payments.authorize(
            Money(amount=self._booking.amount, currency=self._booking.currency),
            payment.command,
            payment.command.deadline,
            window=self._policy.payment_window,
            notification=self.notification,
            require_action=require_action,
            gives_up=lambda: self._commands.cancel_requested or self._commands.abandon_requested,
        )
        if authorization.result is AuthorizationResult.ACTION_REQUIRED:
            await self._return_money()
            raise NotPaid(problems.ABANDONED if self._commands.abandon_requested else problems.TOO_LATE)
        if self._booking.status is BookingStatus.ACTION_REQUIRED:
            await self._reservation.resume_payment()
        if authorization.result is not AuthorizationResult.AUTHORIZED:
            raise NotPaid(problems.why_not_paid(authorization))

    # Going back

    async def _end(self, status: BookingStatus, problem: Problem | None = None) -> None:
        """Give the seats back, but only when no money of the buyer's is kept any more."""
        await self._saga.compensate()
        reason = problem.type if problem else None
        await self.must(
            RELEASE_SEATS,
            # The row shows a payment that this saga does not know where its command was lost together with its worker.
            lambda: self._reservation.release(status, reason, problem=problem, if_changed=self._return_money),
        )
        if self._booking.status in PAID:
            self._show("Confirmed by another worker")
            return
        self._show(f"Ended as {status}" + (f": {problem.detail}" if problem else ""))
        if self._commands.pending:
            self._reply(self._commands.pending, problem or problems.already_ended(self._booking))

    async def _return_money(self) -> None:
        """No buyer gets both the tickets and the money, even if another worker still carries out the payment."""
        await self._reservation.forbid_tickets()
        if self._booking.status not in PAID:
            give_back = partial(self._reservation.resyncing, self._payments.return_money)
            await self.must(RETURN_MONEY, give_back, resolve=done_by_hand)

    async def _resync(self) -> None:
        """Go on from the row: it has changed without this saga, after a reset, or when an answer was lost for good."""
        has_changed = await self._reservation.adopt()
        if not has_changed and not self._reservation.is_over:
            # The step is impossible although the row is where it was believed to be: go back instead of repeating it.
            await self._return_money()
            await self._end(BookingStatus.FAILED, problems.UNDONE)

    async def flag(self, step: str) -> None:
        """Answer the buyer, and let the booking say that it waits for an operator."""
        if self._commands.pending:
            self._reply(self._commands.pending, problems.OUTCOME_UNKNOWN)
        await self._reservation.flag(step, max_attempts=3)

    # Commands

    @workflow.update
    async def hold(self, asked_by: str) -> HoldOutcome:
        """Answer what became of the hold that the workflow was started for."""
        hold = await self._reservation.known_hold()
        return hold.model_copy(update={"asked_by": asked_by})

    @workflow.update
    async def pay(self, command: PaymentCommand) -> PaymentOutcome:
        """Pay for what is held; one payment at a time."""
        if not self._reservation.hold_outcome:
            await self._reservation.known_hold()
            was_begun = self._reservation.was_begun_before
            if was_begun and workflow.patched("the row answers a payment of an earlier workflow"):
                return await self._outcome_by_row(command)
            self._may_pay(command)
        return await self._commands.accept(command)

    @pay.validator
    def _may_pay(self, command: PaymentCommand) -> None:
        if self._reservation.hold_outcome:
            self._commands.check(self._reservation.known, command)

    @workflow.update
    async def cancel(self) -> CancelOutcome:
        """Cancel the booking; a payment under way is waited for and undone, unless its money is being taken already."""
        self._commands.request_cancel()
        if not self._reservation.hold_outcome:
            await self._reservation.known_hold()
            self._may_cancel()
        await workflow.wait_condition(lambda: self._reservation.is_over or self.waits_at is not None)
        return self._reservation.cancel_outcome(BookingStatus.CANCELLED)

    @cancel.validator
    def _may_cancel(self) -> None:
        if self._reservation.hold_outcome:
            self._reservation.check_status(() if self.waits_at else UNFINISHED, "The booking cannot be cancelled.")

    @workflow.update
    async def abandon(self) -> CancelOutcome:
        """End the payment that waits for its buyer, and keep the hold, so that the buyer may pay otherwise."""
        self._commands.abandon_requested = True
        paying = (BookingStatus.PAYING, BookingStatus.ACTION_REQUIRED)
        await workflow.wait_condition(lambda: self._booking.status not in paying or self.waits_at is not None)
        return self._reservation.cancel_outcome(BookingStatus.HELD)

    @abandon.validator
    def _may_abandon(self) -> None:
        waiting = () if self.waits_at else (BookingStatus.ACTION_REQUIRED,)
        self._reservation.check_status(waiting, "No payment waits for its buyer.")

    @workflow.query
    def why_not_paid(self, payment: str) -> Problem | None:
        """Why a payment failed that was answered while its buyer had to act, if it did; by its update's id."""
        return self._commands.why_not_paid(payment)

    # What the commands and the life share

    async def _outcome_by_row(self, command: PaymentCommand) -> PaymentOutcome:
        """Where the payment was an earlier workflow's, the caller finds its outcome in the row, once there is one."""
        await workflow.wait_condition(lambda: self._reservation.is_over or self.waits_at is not None)
        return PaymentOutcome(body_sha256=command.body_sha256, problem=problems.OUTCOME_UNKNOWN)

    def _is_called(self) -> bool:
        return self._commands.pending is not None or self._commands.cancel_requested or self.notification.has_arrived

    @property
    def _booking(self) -> Booking:
        return self._reservation.booking

    def _reply(self, payment: PendingPayment, problem: Problem | None = None, action_url: str | None = None) -> None:
        self._commands.reply(payment, self._booking, problem=problem, action_url=action_url)

    def _show(self, details: str) -> None:
        workflow.set_current_details(details)
        if self._booking.status is not BookingStatus.PAYING:  # over too soon for an upsert, which costs an event
            self.show_status(self._booking.status)
