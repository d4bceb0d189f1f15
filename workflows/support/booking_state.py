"""A booking as its saga believes it to be, and the steps in the reservation service that read or change it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.reservation.bookings import (
        KeepHold,
        NeedsAttention,
        Reinstate,
        Release,
        RequireAction,
        ReservationActivities,
        StartPayment,
        Step,
    )
    from domain.bookings import OVER, Booking, BookingRequest, BookingStatus, CancelOutcome, HoldOutcome, PaymentId
    from domain.problems import Problem, ProblemType
    from temporal.saga import Aborted, aborting
    from workflows.support import problems
    from workflows.support.operator_gate import ISSUE_TICKETS, RELEASE_SEATS
    from workflows.support.steps import Activity, Request, failed_as, local_step


class StateConflict(Exception):
    """The booking is not in the state in which its saga believes it to be."""


def _ignore(_: str) -> None: ...


class BookingState:
    """Each step starts from the version that is known; one that comes from an older version has no effect.

    Attributes:
        known: The booking as of the last step with an answer; None until it is held.
        hold_outcome: What became of the hold; None until that is known.
    """

    def __init__(self, booking_id: UUID, max_attempts: int, changed: Callable[[str], None] = _ignore) -> None:
        """Nothing is known yet.

        Args:
            booking_id: Which booking.
            max_attempts: Attempts of a step that must succeed, with the first one, before it raises FailureError.
            changed: Called after each step of a payment, with a sentence that says what is done.
        """
        self.known: Booking | None = None
        self.hold_outcome: HoldOutcome | None = None
        self._id = booking_id
        self._max_attempts = max_attempts
        self._changed = changed
        self._end_of_hold: asyncio.Task[None] | None = None

    @property
    def booking(self) -> Booking:
        """The booking; only once it is known."""
        assert self.known is not None, "nothing is held yet"
        return self.known

    @property
    def is_over(self) -> bool:
        """Whether the booking's saga has nothing more to do."""
        return self.booking.status in OVER

    @property
    def was_begun_before(self) -> bool:
        """Whether an earlier workflow of this booking, which was reset or terminated, has gone beyond the hold."""
        return self.known is not None and self.known.status is not BookingStatus.HELD

    async def hold(self, request: BookingRequest) -> HoldOutcome:
        """Hold the places, or answer why that is impossible."""
        outcome = await local_step(ReservationActivities.hold, request, "hold seats")
        self.known, self.hold_outcome = outcome.booking, outcome
        return outcome

    async def known_hold(self) -> HoldOutcome:
        """What became of the hold, once that is known.

        The row may be seen, and paid, before its workflow knows it: where the answer to the hold was lost.
        """
        await workflow.wait_condition(lambda: self.hold_outcome is not None)
        assert self.hold_outcome is not None
        return self.hold_outcome

    async def wait_while_held(self, *, unless: Callable[[], bool]) -> None:
        """Wait until the hold ends, or `unless` is true.

        One timer serves the whole hold, also while the buyer pays: to cancel a timer costs the history an event.
        """
        left = self.booking.expires_at - workflow.now()
        if left <= timedelta(0) or unless():
            return
        if self._end_of_hold is None:
            self._end_of_hold = asyncio.create_task(workflow.sleep(left, summary="the hold ends"))
        end = self._end_of_hold
        await workflow.wait_condition(lambda: end.done() or unless())

    async def start_payment(self, window: timedelta, payment: PaymentId) -> None:
        """Keep the places for as long as one payment may take, and store which command it is.

        Raises:
            StateConflict: The booking has changed without this saga.
        """
        request = StartPayment(booking=self.booking, window=window, payment=payment)
        await self._change(ReservationActivities.start_payment, request, "keep the seats while paying")

    async def require_action(self, action_url: str | None) -> None:
        """Show that the buyer has to act at the provider, and at which address; raises as `start_payment`."""
        request = RequireAction(booking=self.booking, action_url=action_url)
        await self._change(ReservationActivities.require_action, request, "the buyer has to act")

    async def resume_payment(self) -> None:
        """Show that the buyer has acted; raises as `start_payment`."""
        await self._change(ReservationActivities.resume_payment, self._step, "the buyer has acted")

    async def keep_hold(self, problem: Problem | None) -> None:
        """Keep the places for another payment, and show why this one failed; raises as `start_payment`."""
        request = KeepHold(booking=self.booking, problem=problem)
        await self._change(ReservationActivities.keep_hold, request, "keep the seats for another try")

    async def reinstate(self, window: timedelta) -> bool:
        """Hold the places of an expired booking again, or equal ones; whether that was possible."""
        request = Reinstate(booking=self.booking, window=window)
        answer = await local_step(ReservationActivities.reinstate, request, "hold the seats again", self._max_attempts)
        self.known = answer.booking or self.known
        return answer.booking is not None

    async def commit(self) -> None:
        """Sell the places.

        Raises:
            Aborted: They are lost, their event or the booking is cancelled, or the money is being returned.
        """
        with aborting(problems.UNDONE):
            problem = await local_step(ReservationActivities.commit, self._step, "commit seats", self._max_attempts)
        if problem:
            # In the wrong state only by the buyer's cancel, which the database learns before the saga.
            is_cancel = problem.type is ProblemType.WRONG_STATE
            raise Aborted(problem, BookingStatus.CANCELLED if is_cancel else BookingStatus.FAILED)

    async def issue(self) -> None:
        """Issue the tickets, unless the booking turns out to be over.

        Raises:
            Aborted: The money is being returned. An earlier run of this task began that, and was lost with its worker.
        """
        await self.resyncing(self._issue)

    async def forbid_late_issue(self) -> None:
        """Let no late try issue tickets while all is undone; a booking that turns out to be confirmed stays so.

        Raises:
            Aborted: It is not confirmed.
        """
        await self.flag(ISSUE_TICKETS, max_attempts=0)  # a new version, for which such a try is stale
        await self.adopt()
        if not self.is_over:
            raise Aborted(problems.UNDONE)

    async def release(
        self,
        status: BookingStatus,
        reason: ProblemType | None,
        *,
        problem: Problem | None = None,
        if_changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Give the places back, held or sold, and end as `status`, unless the booking turns out to be over.

        Args:
            status: How it ends.
            reason: Why, where it failed.
            problem: Why the payment failed, for the buyer to read.
            if_changed: Done before the next try where the booking has changed without this saga.
        """

        async def release() -> None:
            request = Release(booking=self.booking, to=status, reason=reason, problem=problem)
            self.known = await local_step(ReservationActivities.release, request, RELEASE_SEATS, self._max_attempts)

        await self.resyncing(release, if_changed=if_changed)

    async def resyncing(
        self, effect: Callable[[], Awaitable[None]], *, if_changed: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Do a step; where it fails and the booking has changed without this saga, do it again from there.

        Where the booking is over, the step had its effect and only its answer was lost, or another worker's came first.

        Raises:
            FailureError: The step failed, and the booking is as it was believed to be.
        """
        while True:
            try:
                return await effect()
            except FailureError:
                has_changed = await self._try_to_adopt()
                if self.is_over:
                    return None
                if not has_changed:
                    raise
            if if_changed:
                await if_changed()

    async def forbid_tickets(self) -> None:
        """Let no other worker issue tickets any more, or learn that one has."""
        self.known = await local_step(ReservationActivities.forbid_tickets, self._id, "no tickets any more")

    async def flag(self, step: str, max_attempts: int) -> None:
        """Show that the booking waits for an operator, where that is possible."""
        with suppress(FailureError):
            request = NeedsAttention(booking=self.booking, step=step)
            self.known = await local_step(ReservationActivities.flag, request, "flag for an operator", max_attempts)

    async def adopt(self, max_attempts: int = 0) -> bool:
        """Take over the booking as its row has it; whether it has changed without this saga."""
        believed = self.known
        self.known = await local_step(ReservationActivities.look, self._id, "look at the row", max_attempts)
        return believed is None or self.known.version != believed.version

    async def check_completed(self) -> bool:
        """Take over the booking as its row has it, but only where it is over; whether it is.

        What happens without this saga is otherwise for the next command to find out.
        """
        believed = self.known
        await self.adopt()
        if self.is_over:
            return True
        self.known = believed
        return False

    def check_status(self, allowed: Container[BookingStatus], refusal: str) -> None:
        """Check that a command fits the booking as it is.

        Raises:
            ApplicationError: Nothing is held, or the status is not one of those.
        """
        if self.known is None or self.known.status not in allowed:
            raise ApplicationError(refusal, type=ProblemType.WRONG_STATE)

    def cancel_outcome(self, expected: BookingStatus) -> CancelOutcome:
        """The answer to a command that was to bring the booking to this status."""
        if self.booking.status is expected:
            return CancelOutcome(booking=self.booking)
        return CancelOutcome(problem=problems.why_not_cancelled(self.booking))

    @property
    def _step(self) -> Step:
        return Step(booking=self.booking)

    async def _issue(self) -> None:
        try:
            self.known = await local_step(ReservationActivities.issue, self._step, ISSUE_TICKETS, self._max_attempts)
        except FailureError as error:
            if failed_as("TicketsForbidden", error):
                raise Aborted(problems.UNDONE) from error
            raise

    async def _try_to_adopt(self) -> bool:
        with suppress(FailureError):
            return await self.adopt(max_attempts=3)
        return False

    async def _change(self, activity: Activity[Request, Booking], request: Request, summary: str) -> None:
        try:
            self.known = await local_step(activity, request, summary)
        except FailureError as error:
            raise StateConflict from error
        self._changed(summary.capitalize())
