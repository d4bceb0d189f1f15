"""A refund that the provider takes back is made again, whatever its first run does at that moment."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from temporalio import activity
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.payment.refunds import GiveBack
from domain.payments import GivenRefund, ProviderRefundState
from domain.refunds import Refund, RefundCause, RefundOutcome, RefundRequest, RefundState, SeenRefund
from temporal import queues
from tests.workflows.sandbox import WORKFLOW_RUNNER
from tests.workflows.test_time import skipping
from workers.temporal.worker import methods_of
from workflows.ids import refund_taken_back_workflow_id
from workflows.refund import RefundWorkflow
from workflows.refund_taken_back import RefundTakenBack

__all__ = ["skipping"]


class FailedRefund:
    """The activities for a refund whose payment has failed, and whose first run has not settled it.

    Args:
        settles: The first run settles it when the check has seen it and looked again, and ends.
        pays: It also pays it before that.
    """

    def __init__(self, *, settles: bool, pays: bool = False) -> None:
        self._settles, self._pays = settles, pays
        self._settled_at: datetime | None = None
        self._request = RefundRequest(
            id=uuid4(), booking_id=uuid4(), event_id=uuid4(), requested_by=uuid4(), cause=RefundCause.BUYER, reason="",
            body_sha256="",
        )  # fmt: skip
        self.is_owed = True
        self.looks = self.taken_back = 0
        self.queues = set[str]()

    @property
    def id(self) -> UUID:
        return self._request.id

    @activity.defn
    async def take_back(self, refund_id: UUID) -> bool:
        self.looks += 1
        self.queues.add(activity.info().task_queue)
        was_owed = self.is_owed
        if self._settles and self.looks == 2:
            self._settled_at, self._settles = datetime.now(UTC), False
            self.is_owed = not self._pays
        return was_owed

    @activity.defn
    async def see_refund(self, refund_id: UUID) -> SeenRefund:
        return SeenRefund(id=refund_id, settled_at=self._settled_at)

    @activity.defn
    async def take_back_as_seen(self, seen: SeenRefund) -> RefundRequest | None:
        if seen.settled_at != self._settled_at:
            return None
        self._settled_at = None
        self.taken_back += 1
        return self._request

    @activity.defn
    async def accept_refund(self, request: RefundRequest) -> RefundOutcome:
        return RefundOutcome(body_sha256="", refund=self._refund())

    @activity.defn
    async def give_refund(self, order: GiveBack) -> GivenRefund:
        self.queues.add(activity.info().task_queue)
        self.is_owed = False
        return GivenRefund(state=ProviderRefundState.SUCCEEDED, amount=order.amount)

    @activity.defn
    async def settle_refund(self, refund_id: UUID) -> Refund:
        self._settled_at = datetime.now(UTC)
        return self._refund()

    def _refund(self) -> Refund:
        state = RefundState.SUCCEEDED if self._settled_at else RefundState.PENDING
        return Refund(
            id=self.id, booking_id=self._request.booking_id, state=state, cause=RefundCause.BUYER, reason="",
            amount=5000, fee=0, currency="EUR", tickets=(), created_at=datetime.now(UTC),
        )  # fmt: skip


async def is_started_again(environment: WorkflowEnvironment, refund: FailedRefund) -> bool:
    """Check the refund until nothing is owed."""
    async with (
        Worker(environment.client, task_queue=queues.PAYMENT, activities=methods_of(refund)),
        Worker(environment.client, task_queue=queues.REFUNDS, activities=methods_of(refund)),
        Worker(
            environment.client,
            task_queue=queues.RESERVATION,
            workflows=[RefundTakenBack, RefundWorkflow],
            activities=methods_of(refund),
            workflow_runner=WORKFLOW_RUNNER,
        ),
    ):
        return await environment.client.execute_workflow(
            RefundTakenBack.run,
            refund.id,
            id=refund_taken_back_workflow_id(refund.id),
            task_queue=queues.RESERVATION,
        )


@pytest.mark.parametrize("settles", [False, True], ids=["first run has ended", "first run settles it"])
async def test_a_refund_that_failed_is_made_again_although_its_first_run_settles_it(
    skipping: WorkflowEnvironment, settles: bool
) -> None:
    refund = FailedRefund(settles=settles)
    assert await is_started_again(skipping, refund)
    assert not refund.is_owed
    assert refund.looks >= 3 + 2 * settles


async def test_a_refund_that_is_paid_during_its_check_is_not_taken_back(skipping: WorkflowEnvironment) -> None:
    refund = FailedRefund(settles=True, pays=True)
    assert not await is_started_again(skipping, refund)
    assert (refund.looks, refund.taken_back) == (3, 0)


async def test_refunds_take_no_slots_of_steps_that_buyers_wait_for(skipping: WorkflowEnvironment) -> None:
    refund = FailedRefund(settles=False)
    await is_started_again(skipping, refund)
    assert refund.queues == {queues.REFUNDS}
