"""Orders to pay, as the updates hand them in and the saga answers them."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.bookings import Booking, PaymentCommand, PaymentOutcome
    from domain.problems import Problem


class Order:
    """A buyer's order to pay; `id` is that of its update."""

    def __init__(self, id: str, command: PaymentCommand) -> None:
        self.id = id
        self.command = command
        self.outcome: PaymentOutcome | None = None


class Orders:
    """One at a time: an order is pending from when it is handed in until it is answered."""

    def __init__(self) -> None:
        self.latest: Order | None = None
        self._came_to_nothing: dict[str, Problem] = {}  # those that were answered before it was known, by id

    @property
    def pending(self) -> Order | None:
        return self.latest if self.latest and self.latest.outcome is None else None

    def hand_in(self, command: PaymentCommand) -> Order:
        """From now on it is the pending one."""
        update = workflow.current_update_info()
        self.latest = Order(update.id if update else "", command)
        return self.latest

    def answer(
        self, order: Order, booking: Booking, *, problem: Problem | None = None, action_url: str | None = None
    ) -> None:
        """The first answer is what the buyer gets; a problem that comes later is kept for whoever asks."""
        if order.outcome and order.outcome.booking and problem:
            self._came_to_nothing[order.id] = problem
        elif order.outcome is None:
            order.outcome = PaymentOutcome(
                body_sha256=order.command.body_sha256,
                booking=None if problem else booking,
                problem=problem,
                action_url=action_url,
            )

    def why_not_paid(self, id: str) -> Problem | None:
        """Why an order that was answered while its buyer had to act came to nothing, if it did."""
        return self._came_to_nothing.get(id)
