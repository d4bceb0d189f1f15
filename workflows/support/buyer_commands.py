"""What a buyer commands while a booking lives, as updates hand it to the saga and the saga answers."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain.bookings import OVER, Booking, BookingStatus, PaymentCommand, PaymentId, PaymentOutcome
    from domain.problems import Problem, ProblemType
    from temporal.metrics import observe_confirmation
    from temporal.saga import Aborted
    from workflows.support import problems


class PendingPayment:
    """A buyer's command to pay.

    Attributes:
        id: That of its update.
        command: What the buyer sent.
        outcome: The answer; None until there is one.
    """

    def __init__(self, id: str, command: PaymentCommand) -> None:
        """See the attributes."""
        self.id = id
        self.command = command
        self.outcome: PaymentOutcome | None = None
        self._accepted_at = workflow.now()

    @property
    def age(self) -> timedelta:
        """The time since it was accepted."""
        return workflow.now() - self._accepted_at

    @property
    def stored_id(self) -> PaymentId:
        """What the booking's row keeps of it, for repeats that come after this workflow has ended."""
        return PaymentId(command=self.id, body_sha256=self.command.body_sha256)


class BuyerCommands:
    """One payment at a time: its command is pending from its acceptance until its answer.

    Attributes:
        cancel_requested: The buyer cancels the whole booking.
        abandon_requested: The buyer ends the payment that waits for its buyer.
    """

    def __init__(self) -> None:
        """None was handed in yet."""
        self.cancel_requested = self.abandon_requested = False
        self._latest: PendingPayment | None = None
        self._buyer_had_to_act = False
        self._failed_later: dict[str, Problem] = {}  # after an answer that said that the buyer has to act, by id

    def observe_confirmation(self, payment: PendingPayment) -> None:
        """Measure a payment that has ended in tickets."""
        observe_confirmation(payment.age, buyer_acted=self._buyer_had_to_act)

    @property
    def pending(self) -> PendingPayment | None:
        """The command that has no answer yet."""
        return self._latest if self._latest and self._latest.outcome is None else None

    def request_cancel(self) -> None:
        """Cancel the booking as soon as that can be done."""
        self.cancel_requested = True

    def begin_challenge(self) -> None:
        """From now on the buyer has to act at the provider, and may abandon the payment instead."""
        self._buyer_had_to_act, self.abandon_requested = True, False

    def heed_cancel(self) -> None:
        """Stop a payment if its buyer has cancelled the booking.

        Raises:
            Aborted: The buyer has cancelled.
        """
        if self.cancel_requested:
            raise Aborted(problems.CANCELLED, BookingStatus.CANCELLED)

    def check(self, booking: Booking | None, command: PaymentCommand) -> None:
        """Check that a command to pay may be accepted now.

        Raises:
            ApplicationError: The booking cannot be paid, another payment is under way, or the command is too late.
        """
        if booking is None or booking.status in OVER or self.cancel_requested:
            raise ApplicationError("The booking cannot be paid.", type=ProblemType.WRONG_STATE)
        if self.pending or booking.status is not BookingStatus.HELD:
            raise ApplicationError("A payment is under way.", type=ProblemType.PAYMENT_IN_PROGRESS)
        if workflow.now() >= command.deadline:
            raise ApplicationError("The call came too late.", type=ProblemType.PAYMENT_TOO_LATE)

    async def accept(self, command: PaymentCommand) -> PaymentOutcome:
        """Make the command to pay the pending one, and wait for its answer."""
        update = workflow.current_update_info()
        accepted = self._latest = PendingPayment(update.id if update else "", command)
        await workflow.wait_condition(lambda: accepted.outcome is not None)
        assert accepted.outcome is not None
        return accepted.outcome

    def reply(
        self,
        payment: PendingPayment,
        booking: Booking,
        *,
        problem: Problem | None = None,
        action_url: str | None = None,
    ) -> None:
        """Answer a command to pay; the first answer counts, and a problem that comes later is kept for a query."""
        if payment.outcome and payment.outcome.booking and problem:
            self._failed_later[payment.id] = problem
        elif payment.outcome is None:
            payment.outcome = PaymentOutcome(
                body_sha256=payment.command.body_sha256,
                booking=None if problem else booking,
                problem=problem,
                action_url=action_url,
            )

    async def deliver_answer(self) -> None:
        """Answer the last command before the workflow ends, where a signal may arrive.

        If a signal arrives during the task that ends a workflow, the server drops that task with its answers. A
        provider that challenges a buyer sends notifications. After a challenge, the answer has a task of its own.
        """
        if self._buyer_had_to_act:
            await workflow.sleep(timedelta(milliseconds=1), summary="the command is answered before the end")

    def why_not_paid(self, id: str) -> Problem | None:
        """Why a payment failed whose buyer had to act, if it did; by its update's id."""
        return self._failed_later.get(id)
