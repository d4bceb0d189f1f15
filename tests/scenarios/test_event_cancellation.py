"""A cancelled event refunds every buyer once, despite crashes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from api.catalogue import changes
from db.engine import open_engine
from domain.identity import Role
from domain.problems import ProblemType, Refused
from stack import Stack
from temporal.search_attributes import REFUSED, STATUS
from tests.buyer import CARD_WITH_3DS, Buyer
from tests.platform_client import PlatformClient
from tests.scale import FULL
from tests.scenarios.sold import sold
from tests.scenarios.test_outages import without
from tests.scenarios.test_rush import pay
from tests.waiting import eventually
from workflows.event_cancellation import CancelEvent
from workflows.ids import event_cancellation_workflow_id

PAID, IN_FLIGHT, FAILING = (1900, 100, 100) if FULL else (60, 6, 3)  # 20 are refunded at a time
BOUGHT = 60 if FULL else 10  # by living through their sagas; the others are written down as such sagas leave them
PATIENCE = 1800 if FULL else 120
PRICE = 3000


def saga(platform: PlatformClient, event: str) -> WorkflowHandle[Any, Any]:
    return platform.temporal.get_workflow_handle(event_cancellation_workflow_id(UUID(event)))


async def finished(platform: PlatformClient, event: str) -> dict[str, Any]:
    """Wait for the report."""

    async def report() -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await platform.cancellation(event))["report"]
        return found

    found: dict[str, Any] | None = await eventually(report, within=PATIENCE, every=0.2)
    assert found
    return found


async def many(count: int, make: Callable[[], Awaitable[str]]) -> list[str]:
    """Create this many, some at a time."""
    gate = asyncio.Semaphore(10)

    async def one() -> str:
        async with gate:
            return await make()

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def held(buyer: Buyer, event: str) -> str:
    return await buyer.held(event, quantities={"Standing": 1})


async def a_house_with_buyers(platform: PlatformClient) -> tuple[str, Buyer, list[str], list[str]]:
    """An event, a buyer, paid bookings, and bookings in flight, a third of which are about to be paid."""
    event, buyer = await platform.event(standing=PAID + IN_FLIGHT, hold_seconds=3600), platform.new_buyer()

    async def bought() -> str:
        booking = await held(buyer, event)
        assert await pay(buyer, booking) == 200
        return booking

    paid = await many(BOUGHT, bought) + await sold(platform.settings, event, PAID - BOUGHT)
    flying = await many(IN_FLIGHT, lambda: held(buyer, event))
    for booking in flying[0::3]:
        await platform.provider.will("slow", "confirm", booking, delay_seconds=2)
    return event, buyer, paid, flying


async def begin_payments(platform: PlatformClient, buyer: Buyer, flying: list[str]) -> list[asyncio.Task[Any]]:
    """A third waits for 3-D Secure, and the payment of another third is with the provider when this returns."""
    gate = asyncio.Semaphore(10)

    async def order(booking: str) -> None:
        async with gate:
            await buyer.pay(booking, CARD_WITH_3DS)

    await asyncio.gather(*(order(booking) for booking in flying[1::3]))
    payments = [asyncio.create_task(buyer.pay(booking)) for booking in flying[0::3]]
    await eventually(lambda: platform.provider.calls(flying[0], "create"))
    return payments


async def in_the_middle(platform: PlatformClient, event: str, refunded: int) -> None:
    async def so_far() -> bool:
        return bool((await platform.cancellation(event))["progress"]["refunded"] >= refunded)

    await eventually(so_far, within=PATIENCE, every=0.02)


async def pays_back_everything(platform: PlatformClient, booking: str) -> None:
    """The captured money was returned by exactly one succeeded refund, and nothing is reserved."""
    intents = await platform.provider.intents(booking)
    assert [each["captured"] - each["refunded"] + each["held"] for each in intents] == [0] * len(intents)
    taken = [each for each in intents if each["captured"]]
    succeeded = [each for each in await platform.provider.refunds(booking) if each["status"] == "succeeded"]
    assert len(succeeded) == len(taken) <= 1


@pytest.mark.disruptive
async def test_every_buyer_is_refunded_once_despite_a_pause_and_two_worker_kills(
    platform: PlatformClient, stack: Stack
) -> None:
    event, buyer, paid, flying = await a_house_with_buyers(platform)
    failing = set(random.Random(5).sample(paid, FAILING))
    for booking in paid:
        if booking in failing:
            await platform.provider.will("decline", "refund", booking)
        else:
            await platform.provider.will("slow", "refund", booking, delay_seconds=0.3 if FULL else 2)
    plan = await platform.cancel(event, dry_run=True)
    assert plan == {
        "bookings_in_flight": IN_FLIGHT, "bookings_to_refund": PAID, "amount": PAID * PRICE, "currency": "EUR",
    }  # fmt: skip
    assert await buyer.status(flying[2]) == "held"
    payments = await begin_payments(platform, buyer, flying)

    assert (await platform.cancel(event))["status"] == "cancelled"
    assert (await buyer.hold(event, quantities={"Standing": 1})).json()["type"].endswith("/event-not-on-sale")
    await in_the_middle(platform, event, PAID // 20)
    async with without(stack, "work"):
        pass
    await in_the_middle(platform, event, PAID // 10)
    await saga(platform, event).execute_update("pause")
    await eventually(lambda: is_paused_and_quiet(platform, event), within=PATIENCE)
    paused = await platform.cancellation(event)
    assert paused["progress"]["to_refund"] > 0
    assert not paused["needs_attention"]
    await asyncio.gather(*payments)  # which end meanwhile: what is sold so late waits for its refund, too
    later = await platform.cancellation(event)
    for of_refunds in ("refunding", "refunded"):
        assert later["progress"][of_refunds] == paused["progress"][of_refunds]
    await saga(platform, event).execute_update("resume")
    await in_the_middle(platform, event, PAID // 2)
    async with without(stack, "work"):
        pass

    report = await finished(platform, event)
    statuses = [await buyer.status(booking) for booking in flying]
    afterwards = statuses.count("refunded")
    assert set(statuses) <= {"cancelled", "failed", "refunded"}
    assert (report["refunded"], report["failed"]) == (PAID + afterwards, 0)
    assert report["amount"] == (PAID + afterwards) * PRICE
    support = platform.new_buyer(Role.SUPPORT)
    assert {await support.status(booking) for booking in paid} == {"refunded"}
    for booking in [*paid, *flying]:
        await pays_back_everything(platform, booking)
    assert await platform.free_places(event, "Standing") == PAID + IN_FLIGHT


async def is_paused_and_quiet(platform: PlatformClient, event: str) -> bool:
    """Whether the refunds that were under way are over, also those that have just started and are in no table yet."""
    found = await platform.cancellation(event)
    description = await saga(platform, event).describe()
    started = description.raw_description.pending_children
    return bool(found["paused"] and not started and not found["progress"]["refunding"])


async def test_an_impossible_refund_is_reported_and_delays_no_other(
    platform: PlatformClient,
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    stuck, fine = (await buyer.bought(event, "A-1-1"))["id"], (await buyer.bought(event, "A-1-2"))["id"]
    await platform.provider.will("decline", "refund", stuck, times=1000)
    await platform.cancel(event)

    report = await finished(platform, event)

    [stranded] = report["stranded"]
    assert (report["refunded"], report["failed"], stranded["booking_id"]) == (1, 1, stuck)
    assert (await buyer.status(fine), await buyer.status(stuck)) == ("refunded", "refunding")

    await platform.provider.clear_faults(stuck)
    await platform.refund_saga(stranded["refund_id"]).execute_update("operate", "retry")
    await buyer.ends_as(stuck, "refunded")
    assert (await platform.cancellation(event))["progress"]["failed"] == 0


async def test_a_cancelled_event_waits_for_a_running_refund_then_refunds_the_rest(
    platform: PlatformClient,
) -> None:
    policy: dict[str, int | None] = {"fee_percent": 20}
    event, buyer = await platform.event(refund_policy=policy), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    await platform.provider.will("processing", "refund", booking["id"])
    assert (await buyer.refund(booking["id"], booking["tickets"][0]["id"])).status_code == 202
    [pending] = await eventually(lambda: platform.provider.refunds(booking["id"]))
    await platform.cancel(event)
    await platform.provider.decide(pending["id"], "succeeded")

    report = await finished(platform, event)

    assert (report["refunded"], report["amount"]) == (1, 5000)
    assert await buyer.status(booking["id"]) == "refunded"
    assert await platform.provider.kept(booking["id"]) == 1000  # what the policy kept of the first ticket


async def test_a_cancelled_event_gives_back_what_an_exchange_for_a_free_seat_has_kept(platform: PlatformClient) -> None:
    event, buyer = await platform.event(cheaper=0, refund_policy={"until_hours": None}), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1")
    exchanged = await buyer.exchange(booking["id"], booking["tickets"][0]["id"], "B-1-1", method=None)
    assert exchanged.status_code == 200, exchanged.text
    assert await platform.provider.kept(booking["id"]) == 5000
    assert (await platform.cancel(event, dry_run=True))["amount"] == 5000
    await platform.cancel(event)
    assert (await finished(platform, event))["amount"] == 5000
    assert await platform.provider.kept(booking["id"]) == 0


@pytest.mark.parametrize("policy", [{"fee_percent": 10}, {"until_hours": None}], ids=["a fee", "no refunds"])
async def test_a_buyer_who_refunds_before_the_cancellation_does_gets_everything(
    platform: PlatformClient, policy: dict[str, int | None]
) -> None:
    event, buyer, support = await platform.event(refund_policy=policy), platform.new_buyer(), Role.SUPPORT
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    await platform.provider.will("processing", "refund", booking["id"])
    first = await platform.new_buyer(support).refund(booking["id"], booking["tickets"][0]["id"], waive_policy=True)
    assert first.status_code == 202, first.text
    pending = str(await eventually(lambda: platform.provider.left_pending(booking["id"])))
    await platform.cancel(event)  # which waits for that refund, and is then paused before it gives back the other seat
    await saga(platform, event).execute_update("pause")
    await eventually(lambda: is_paused_and_quiet(platform, event))
    await platform.provider.decide(pending, "succeeded")
    await buyer.ends_as(booking["id"], "partially_refunded")

    quote = (await buyer.quote_refund(booking["id"])).json()
    assert (quote["amount"], quote["fee"], quote["until"]) == (5000, 0, None)
    own = await buyer.refund(booking["id"])

    assert own.status_code == 202, own.text
    assert (own.json()["amount"], own.json()["fee"]) == (5000, 0)
    await buyer.ends_as(booking["id"], "refunded")
    await saga(platform, event).execute_update("resume")
    await finished(platform, event)
    assert await platform.provider.kept(booking["id"]) == 0


@pytest.mark.thorough
async def test_a_refund_that_waits_for_an_operator_is_reported_and_the_rest_follows(
    platform: PlatformClient,
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    await platform.provider.will("decline", "refund", booking["id"], times=1000)
    own = (await buyer.refund(booking["id"], booking["tickets"][0]["id"])).json()["id"]
    await platform.cancel(event)

    report = await finished(platform, event)

    assert (report["refunded"], report["to_refund"], report["blocked"], report["failed"]) == (0, 1, 1, 1)
    assert [each["refund_id"] for each in report["stranded"]] == [own]
    await platform.provider.clear_faults(booking["id"])
    await platform.refund_saga(own).execute_update("operate", "retry")
    await buyer.ends_as(booking["id"], "refunded", within=120)
    assert await platform.provider.kept(booking["id"]) == 0


async def test_cancelling_twice_is_no_error_and_refunds_once(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    await asyncio.gather(*(platform.cancel(event) for _ in range(4)))
    await finished(platform, event)
    assert (await platform.cancel(event))["status"] == "cancelled"
    assert (await platform.cancellation(event))["report"]["refunded"] == 1
    assert len(await platform.provider.refunds(booking)) == 1


async def test_a_repeated_request_continues_a_terminated_event_cancellation(
    platform: PlatformClient,
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    await platform.provider.will("processing", "refund", booking)
    await platform.cancel(event)
    await saga(platform, event).terminate("by mistake")
    await platform.cancel(event)
    [pending] = await eventually(lambda: platform.provider.refunds(booking))
    await platform.provider.decide(pending["id"], "succeeded")
    assert (await finished(platform, event))["refunded"] == 1
    assert len(await platform.provider.refunds(booking)) == 1


@pytest.mark.parametrize(
    "paused", [pytest.param(False, marks=pytest.mark.thorough, id="at work"), pytest.param(True, id="paused")]
)
async def test_an_event_cancellation_without_a_workflow_is_revived_in_its_state(
    platform: PlatformClient, paused: bool
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    await platform.provider.will("processing", "refund", booking["id"])
    await buyer.refund(booking["id"], booking["tickets"][0]["id"])  # which the cancellation waits for
    [pending] = await eventually(lambda: platform.provider.refunds(booking["id"]))
    await platform.cancel(event)
    if paused:
        await saga(platform, event).execute_update("pause")
        await eventually(lambda: is_paused_and_quiet(platform, event))
    await saga(platform, event).terminate("by mistake")
    engine = open_engine(platform.settings.database_url("reservation"), pool_size=4, serves_callers=False)

    async def is_revived() -> bool:
        await platform.revive(engine, saga(platform, event))
        return (await saga(platform, event).describe()).status == WorkflowExecutionStatus.RUNNING

    await eventually(is_revived)
    await engine.dispose()
    if paused:
        assert (await platform.cancellation(event))["paused"]
        await saga(platform, event).execute_update("resume")
    await platform.provider.decide(pending["id"], "succeeded")
    assert (await finished(platform, event))["refunded"] == 1
    await buyer.ends_as(booking["id"], "refunded")
    assert [each["status"] for each in await platform.provider.refunds(booking["id"])] == ["succeeded"] * 2


async def cancels(platform: PlatformClient, command: CancelEvent) -> None:
    """Order it as the API does; a caller repeats it where Temporal takes longer than two seconds."""

    async def is_taken() -> bool:
        try:
            await changes.cancel(platform.temporal, command, again=False)
        except Refused as refused:
            if refused.problem.type not in {ProblemType.OUTCOME_UNKNOWN, ProblemType.UNAVAILABLE}:
                raise
            return False
        return True

    await eventually(is_taken)


async def test_a_cancel_of_a_draft_leaves_the_event_on_sale_that_was_published_since(platform: PlatformClient) -> None:
    """The publication comes after the API has compared `If-Match` with the draft, and before the workflow starts."""
    event, buyer = await platform.event(), platform.new_buyer()
    command = CancelEvent(event_id=UUID(event), requested_by=UUID(int=1), attempts=1, if_version=1)

    await cancels(platform, command)

    assert await saga(platform, event).result() is None
    shown = await saga(platform, event).describe()
    assert shown.status is WorkflowExecutionStatus.COMPLETED
    assert shown.typed_search_attributes.get(STATUS) == REFUSED
    assert await buyer.held(event, "A-1-1")
    assert (await platform.cancel(event))["version"] == 3  # a refusal is not remembered
    await finished(platform, event)


async def test_a_cancel_of_the_version_that_was_read_stops_its_sales(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1")
    command = CancelEvent(event_id=UUID(event), requested_by=UUID(int=1), attempts=4, if_version=2)
    await cancels(platform, command)
    assert (await buyer.hold(event, "A-1-2")).json()["type"].endswith("/event-not-on-sale")
    assert (await finished(platform, event))["refunded"] == 1
    await buyer.ends_as(booking["id"], "refunded")


async def test_only_the_organizer_and_staff_see_how_a_cancellation_stands(platform: PlatformClient) -> None:
    event = await platform.event()
    assert (await platform.new_buyer().get(f"/v1/events/{event}/cancellation")).status_code == 404
    await platform.cancel(event)
    assert (await finished(platform, event))["refunded"] == 0
    assert (await platform.new_buyer().get(f"/v1/events/{event}/cancellation")).status_code == 404
