"""A provider's message that comes while a late payment's workflow ends is looked into."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from temporalio import activity
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.payment.late_payments import LateMoney, Settled
from domain.bookings import Booking, BookingStatus
from domain.domain_events import LateSettlement
from domain.payments import LatePayment, ProviderRefundState
from temporal import queues
from tests.workflows.sandbox import WORKFLOW_RUNNER
from tests.workflows.test_time import skipping
from workers.temporal.worker import methods_of
from workflows.late_payment import LatePaymentWorkflow

__all__ = ["skipping"]


class CancelledBooking:
    """The activities for a cancelled booking, about whose payment a message comes while its workflow ends.

    Args:
        client: Of the server that runs the workflow.
        money: What the provider says at first.
        news: What it says from the message on.
    """

    def __init__(self, client: Client, money: LateMoney, news: LateMoney) -> None:
        self._client = client
        self._money, self._news = money, news
        self.settled: list[LateSettlement | None] = []

    @activity.defn
    async def look(self, booking_id: UUID) -> Booking:
        return Booking(
            id=booking_id, version=3, user_id=uuid4(), event_id=uuid4(), status=BookingStatus.CANCELLED, amount=5000,
            currency="EUR", expires_at=datetime.now(UTC),
        )  # fmt: skip

    @activity.defn
    async def examine(self, late: LatePayment) -> LateMoney:
        return self._money

    @activity.defn
    async def give_back(self, late: LatePayment) -> ProviderRefundState:
        self._money = LateMoney.NONE
        return ProviderRefundState.SUCCEEDED

    @activity.defn
    async def settle(self, settled: Settled) -> None:
        self.settled.append(settled.settlement)
        if len(self.settled) == 1:
            self._money = self._news
            running = self._client.get_workflow_handle(activity.info().workflow_id or "")
            await running.signal("provider_has_news")


async def ended(skipping: WorkflowEnvironment, booking: CancelledBooking) -> LateSettlement | None:
    late = LatePayment(provider="stripe", intent_id="pi_1", booking_id=uuid4())
    async with (
        Worker(skipping.client, task_queue=queues.PAYMENT, activities=methods_of(booking)),
        Worker(
            skipping.client,
            task_queue=queues.RESERVATION,
            workflows=[LatePaymentWorkflow],
            activities=methods_of(booking),
            workflow_runner=WORKFLOW_RUNNER,
        ),
    ):
        return await skipping.client.execute_workflow(
            LatePaymentWorkflow.run, late, id="late-payment-pi_1", task_queue=queues.RESERVATION
        )


async def test_money_that_comes_while_its_workflow_ends_goes_back(skipping: WorkflowEnvironment) -> None:
    booking = CancelledBooking(skipping.client, LateMoney.NONE, LateMoney.THERE)
    assert await ended(skipping, booking) is LateSettlement.RETURNED
    assert booking.settled == [None, LateSettlement.RETURNED]


async def test_a_buyer_is_informed_once_whatever_the_provider_repeats(skipping: WorkflowEnvironment) -> None:
    booking = CancelledBooking(skipping.client, LateMoney.THERE, LateMoney.NONE)
    assert await ended(skipping, booking) is LateSettlement.RETURNED
    assert booking.settled == [LateSettlement.RETURNED, None]
