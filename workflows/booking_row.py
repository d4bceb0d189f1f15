"""The row of a booking, as its saga believes it to be, and the steps that read or change it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.reservation.bookings import NeedsAttention, Release, ReservationActivities, Step
    from domain.bookings import OVER, Booking, BookingRequest, HoldOutcome
    from domain.problems import Problem
    from temporal.policies import transaction
    from workflows.attention import ISSUE_TICKETS, RELEASE_SEATS

T = TypeVar("T")


class Astray(Exception):
    """The booking is not where its saga believes it to be."""


class BookingRow:
    """All steps are local activities, which cost the history a marker each, and belong to the booking's version.

    Attributes:
        known: The booking as of the last step that was heard of; None until it is held.
    """

    def __init__(self, attempts: int) -> None:
        """Args: attempts: how often a step that has to be done is tried before it raises FailureError."""
        self.known: Booking | None = None
        self._attempts = attempts

    @property
    def booking(self) -> Booking:
        assert self.known is not None, "nothing is held yet"
        return self.known

    @property
    def has_ended(self) -> bool:
        return self.booking.status in OVER

    @property
    def step(self) -> Step:
        return Step(booking=self.booking)

    async def hold(self, request: BookingRequest) -> HoldOutcome:
        """Hold the places and make the row, or learn why not."""
        outcome = await _locally(ReservationActivities.hold, request, "hold seats")
        self.known = outcome.booking
        return outcome

    async def change(self, change: Callable[[Any, Any], Awaitable[Booking]], order: Step, summary: str) -> None:
        """Raises: Astray: the row has moved on without us, after a reset, or when an answer was lost for good."""
        try:
            self.known = await _locally(change, order, summary)
        except FailureError as error:
            raise Astray from error

    async def commit(self) -> Problem | None:
        """Sell the seats, or learn why not."""
        return await _locally(ReservationActivities.commit, self.step, "commit seats", self._attempts)

    async def issue(self) -> None:
        """Issue the tickets."""
        self.known = await _locally(ReservationActivities.issue, self.step, ISSUE_TICKETS, self._attempts)

    async def release(self, order: Release) -> None:
        """Give the places back, and end; whatever booking the order names, it is this one as it is now."""
        order = order.model_copy(update={"booking": self.booking})
        self.known = await _locally(ReservationActivities.release, order, RELEASE_SEATS, self._attempts)

    async def forbid_tickets(self) -> None:
        """See that no other worker issues tickets any more, or learn that one has."""
        self.known = await _locally(ReservationActivities.forbid_tickets, self.booking.id, "no tickets any more")

    async def flag(self, step: str, attempts: int) -> None:
        """Let the row say that an operator is waited for, if that can be; `adopt` later finds out whether it does."""
        with suppress(FailureError):
            order = NeedsAttention(booking=self.booking, step=step)
            self.known = await _locally(ReservationActivities.flag, order, "flag for an operator", attempts)

    async def adopt(self, attempts: int = 0) -> None:
        """Believe what the row says."""
        self.known = await _locally(ReservationActivities.look, self.booking.id, "look at the row", attempts)


async def _locally(step: Callable[[Any, Any], Awaitable[T]], order: object, summary: str, attempts: int = 0) -> T:
    return await workflow.execute_local_activity_method(step, order, summary=summary, **transaction(attempts))
