"""The cancellation of an event with one paid booking, whose refund comes to nothing until the test lets it be paid."""

from __future__ import annotations

from uuid import UUID, uuid4

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.reservation.event_cancellations import Attention, Begun, Finished, Page
    from domain.bookings import BookingStatus
    from domain.catalogue import Event, EventChange, EventStatus
    from domain.event_cancellations import OpenBooking, Progress
    from domain.problems import Problem, ProblemType
    from domain.refunds import RefundOutcome, RefundRequest
    from tests.db.booking_steps import an_event

NOT_ALLOWED = Problem(type=ProblemType.REFUND_NOT_ALLOWED, detail="The policy does not allow it.")


class OneBooking:
    """The activities of a cancellation, with the answers of an event that has one booking.

    Attributes:
        needs_attention: Whether its row says so when the cancellation begins.
        is_paid_back: Whether the booking is refunded by now.
        rounds: How often the bookings were read.
        flags: Whether the cancellation needed attention, each time that it said so, with the round.
    """

    def __init__(self) -> None:
        self.booking = uuid4()
        self.needs_attention = False
        self.is_paid_back = False
        self.rounds = 0
        self.flags: list[tuple[bool, int]] = []

    @activity.defn
    async def read_event(self, event_id: UUID) -> Event:
        return an_event()

    @activity.defn
    async def stop_selling(self, event: Event) -> None:
        pass

    @activity.defn
    async def mark_cancelled(self, change: EventChange) -> EventStatus:
        return EventStatus.CANCELLED

    @activity.defn
    async def begin_cancellation(self, order: Begun) -> bool:
        return self.needs_attention

    @activity.defn
    async def open_bookings(self, page: Page) -> list[OpenBooking]:
        self.rounds += 1
        return [] if self.is_paid_back else [OpenBooking(id=self.booking, status=BookingStatus.CONFIRMED)]

    @activity.defn
    async def cancellation_progress(self, event_id: UUID) -> Progress:
        left = int(not self.is_paid_back)
        return Progress(in_flight=0, to_refund=left, refunding=0, refunded=1 - left, amount=0, failed=0)

    @activity.defn
    async def finish_cancellation(self, order: Finished) -> None:
        pass

    @activity.defn
    async def flag_cancellation(self, order: Attention) -> None:
        self.flags.append((order.needs_attention, self.rounds))


@workflow.defn(name="Refund")
class FailedRefund:
    """A refund whose workflow fails."""

    @workflow.run
    async def run(self, request: RefundRequest) -> None:
        raise ApplicationError("the disk is full")


@workflow.defn(name="Refund")
class RefusedRefund:
    """A refund that is refused."""

    @workflow.run
    async def run(self, request: RefundRequest) -> RefundOutcome:
        return RefundOutcome(body_sha256="", problem=NOT_ALLOWED)


@workflow.defn(name="Refund")
class StuckRefund:
    """A refund that runs, and is never accepted."""

    @workflow.run
    async def run(self, request: RefundRequest) -> None:
        await workflow.wait_condition(lambda: False)
