"""A refusal is an outcome: its workflow completes with a status that says so, and its key may be used again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from temporalio.client import WorkflowExecutionStatus

from api.http.idempotency import booking_id_for, exchange_id_for, refund_id_for
from config.settings import secret
from domain.bookings import BookingRequest
from domain.exchanges import ExchangeRequest
from domain.refunds import RefundCause, RefundRequest
from temporal.search_attributes import REFUSED, STATUS
from temporal.start import StartOptions
from tests.buyer import Buyer
from tests.platform_client import PlatformClient
from tests.scale import sample
from workflows.booking import BookingWorkflow
from workflows.exchange import ExchangeWorkflow
from workflows.ids import start_booking, start_exchange, start_refund
from workflows.refund import RefundWorkflow

WORKFLOWS: dict[str, Any] = {
    "hold": BookingWorkflow.run,
    "refund": RefundWorkflow.run,
    "exchange": ExchangeWorkflow.run,
}


@dataclass
class Scene:
    """A buyer with a ticket of A-1-1, and a rival who holds A-1-2; a key that the buyer has not used yet."""

    platform: PlatformClient
    event: str
    buyer: Buyer
    booking: dict[str, Any]
    rivals: str
    rival: Buyer
    key: str

    def id(self, keyed: Any) -> UUID:
        id: UUID = keyed(self.buyer.user_id, self.key, secret(self.platform.settings.booking_id_secret))
        return id

    def impossible(self, what: str) -> tuple[Any, StartOptions]:
        """A request that the early checks of the API let through, since the place or ticket was free by then."""
        of = {"booking_id": UUID(self.booking["id"]), "event_id": UUID(self.event), "body_sha256": "0" * 64}
        if what == "hold":
            hold = BookingRequest(
                id=self.id(booking_id_for), user_id=self.buyer.user_id, seats=("A-1-2",), quantities={},
                hold_seconds=60, event_id=UUID(self.event), body_sha256="0" * 64,
            )  # fmt: skip
            return hold, start_booking(hold)
        if what == "refund":
            refund = RefundRequest(
                id=self.id(refund_id_for), requested_by=self.buyer.user_id, cause=RefundCause.BUYER, reason="",
                tickets=(uuid4(),), attempts=3, **of,
            )  # fmt: skip
            return refund, start_refund(refund)
        exchange = ExchangeRequest(
            id=self.id(exchange_id_for), requested_by=self.buyer.user_id, seat="A-1-2",
            ticket=self.booking["tickets"][0]["id"], deadline=datetime.now(UTC) + timedelta(minutes=1),
            payment=None, window=timedelta(minutes=1), attempts=3, **of,
        )  # fmt: skip
        return exchange, start_exchange(exchange)

    async def ask(self, what: str) -> httpx2.Response:
        """The same with the same key, when it is possible."""
        if what == "hold":
            return await self.buyer.hold(self.event, "A-1-2", key=self.key)
        if what == "refund":
            return await self.buyer.refund(self.booking["id"], key=self.key)
        return await self.buyer.exchange(
            self.booking["id"], self.booking["tickets"][0]["id"], "A-1-2", key=self.key, method=None
        )


async def a_scene(platform: PlatformClient) -> Scene:
    event, buyer, rival = await platform.event(), platform.new_buyer(), platform.new_buyer()
    booking, rivals = await buyer.bought(event, "A-1-1"), await rival.held(event, "A-1-2")
    return Scene(platform, event, buyer, booking, rivals, rival, str(uuid4()))


@pytest.fixture
async def scene(platform: PlatformClient) -> Scene:
    return await a_scene(platform)


@pytest.mark.parametrize("what", sample(list(WORKFLOWS), 2, of="refused workflows"))
async def test_a_refusal_completes_its_workflow_and_its_key_may_be_used_again(scene: Scene, what: str) -> None:
    request, options = scene.impossible(what)
    refused = await scene.platform.temporal.start_workflow(WORKFLOWS[what], request, **options)

    outcome = await refused.result()

    assert outcome.problem.detail
    described = await refused.describe()
    assert described.status is WorkflowExecutionStatus.COMPLETED
    assert described.typed_search_attributes.get(STATUS) == REFUSED
    await scene.rival.cancel(scene.rivals)
    for _ in range(2):  # and then the key's answer is remembered
        answer = await scene.ask(what)
        assert answer.status_code in (200, 201, 202), answer.text
    described = await scene.platform.temporal.get_workflow_handle(refused.id).describe()
    assert described.typed_search_attributes.get(STATUS) != REFUSED


async def test_a_hold_that_was_refused_twice_may_be_tried_a_third_time(scene: Scene) -> None:
    request, options = scene.impossible("hold")
    for again in (False, True):
        await scene.platform.temporal.execute_workflow(
            BookingWorkflow.run, request, **(start_booking(request, again=True) if again else options)
        )
    await scene.rival.cancel(scene.rivals)
    assert (await scene.ask("hold")).status_code == 201


async def test_a_refused_event_refund_is_made_in_a_later_pass(scene: Scene) -> None:
    """Its id is that of the event and the booking, so a refusal must not keep it from being started again."""
    request, _ = scene.impossible("refund")
    await scene.platform.temporal.execute_workflow(RefundWorkflow.run, request, **start_refund(request))
    possible = request.model_copy(update={"tickets": (), "cause": RefundCause.EVENT_CANCELLED, "waives_policy": True})
    await scene.platform.temporal.execute_workflow(RefundWorkflow.run, possible, **start_refund(possible))
    await scene.buyer.ends_as(scene.booking["id"], "refunded")
