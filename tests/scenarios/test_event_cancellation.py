"""An event is called off: everyone who paid gets the money back once, whatever dies on the way."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from db.engine import open_engine
from domain.identity import Role
from stack import Stack
from tests.box_office import BoxOffice
from tests.buyer import CARD_WITH_3DS, Buyer
from tests.scenarios.sold import sold
from tests.scenarios.test_outages import without
from tests.scenarios.test_rush import answer_to, pay
from tests.waiting import eventually
from workflows.ids import event_cancellation_workflow_id

FULL = os.environ.get("SEATWRIGHT_SCALE") == "full"
PAID, IN_FLIGHT, FAILING = (1900, 100, 100) if FULL else (60, 6, 3)
BOUGHT = 60  # by living through their sagas; the others are written down as such sagas leave them
PATIENCE = 1800 if FULL else 120
PRICE = 3000


def saga(office: BoxOffice, event: str) -> WorkflowHandle[Any, Any]:
    return office.temporal.get_workflow_handle(event_cancellation_workflow_id(UUID(event)))


async def finished(office: BoxOffice, event: str) -> dict[str, Any]:
    """The report, once there is one."""

    async def report() -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await office.cancellation(event))["report"]
        return found

    found: dict[str, Any] | None = await eventually(report, within=PATIENCE, every=0.2)
    assert found
    return found


async def many(count: int, make: Callable[[], Awaitable[str]]) -> list[str]:
    """So many of them, some at a time."""
    gate = asyncio.Semaphore(10)

    async def one() -> str:
        async with gate:
            return await make()

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def held(buyer: Buyer, event: str) -> str:
    answer = await answer_to(lambda key: buyer.hold(event, quantities={"Standing": 1}, key=key))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def a_house_with_buyers(office: BoxOffice) -> tuple[str, Buyer, list[str], list[str]]:
    """An event, a buyer, the paid bookings, and those in flight, of which a third is about to be paid."""
    event, buyer = await office.event(standing=PAID + IN_FLIGHT, hold_seconds=3600), office.somebody()

    async def bought() -> str:
        booking = await held(buyer, event)
        assert await pay(buyer, booking) == 200
        return booking

    paid = await many(BOUGHT, bought) + await sold(office.settings, event, PAID - BOUGHT)
    flying = await many(IN_FLIGHT, lambda: held(buyer, event))
    for booking in flying[0::3]:
        await office.provider.will("slow", "confirm", booking, delay_seconds=2)
    return event, buyer, paid, flying


async def begin_payments(office: BoxOffice, buyer: Buyer, flying: list[str]) -> list[asyncio.Task[Any]]:
    """A third waits for 3-D Secure, and the payment of another third is with the provider when this returns."""
    gate = asyncio.Semaphore(10)

    async def order(booking: str) -> None:
        async with gate:
            await buyer.pay(booking, CARD_WITH_3DS)

    await asyncio.gather(*(order(booking) for booking in flying[1::3]))
    payments = [asyncio.create_task(buyer.pay(booking)) for booking in flying[0::3]]
    await eventually(lambda: office.provider.calls(flying[0], "create"))
    return payments


async def in_the_middle(office: BoxOffice, event: str, refunded: int) -> None:
    async def so_far() -> bool:
        return bool((await office.cancellation(event))["progress"]["refunded"] >= refunded)

    await eventually(so_far, within=PATIENCE, every=0.02)


async def pays_back_everything(office: BoxOffice, booking: str) -> None:
    """Exactly once: what was taken has gone back by one refund that succeeded, and nothing is reserved."""
    intents = await office.provider.intents(booking)
    assert [each["captured"] - each["refunded"] + each["held"] for each in intents] == [0] * len(intents)
    taken = [each for each in intents if each["captured"]]
    succeeded = [each for each in await office.provider.refunds(booking) if each["status"] == "succeeded"]
    assert len(succeeded) == len(taken) <= 1


@pytest.mark.disruptive
async def test_everyone_who_paid_is_refunded_once_though_it_is_paused_and_the_workers_are_killed_twice(
    box_office: BoxOffice, stack: Stack
) -> None:
    event, buyer, paid, flying = await a_house_with_buyers(box_office)
    failing = set(random.Random(5).sample(paid, FAILING))
    for booking in paid:
        if booking in failing:
            await box_office.provider.will("decline", "refund", booking)
        else:
            await box_office.provider.will("slow", "refund", booking, delay_seconds=0.3 if FULL else 1)
    plan = await box_office.cancel(event, dry_run=True)
    assert plan == {
        "bookings_in_flight": IN_FLIGHT, "bookings_to_refund": PAID, "amount": PAID * PRICE, "currency": "EUR",
    }  # fmt: skip
    assert await buyer.status(flying[2]) == "held"
    payments = await begin_payments(box_office, buyer, flying)

    assert (await box_office.cancel(event))["status"] == "cancelled"
    assert (await buyer.hold(event, quantities={"Standing": 1})).json()["type"].endswith("/event-not-on-sale")
    await in_the_middle(box_office, event, PAID // 20)
    async with without(stack, "work"):
        pass
    await in_the_middle(box_office, event, PAID // 10)
    await saga(box_office, event).execute_update("pause")
    await eventually(lambda: is_paused_and_quiet(box_office, event), within=PATIENCE)
    paused = await box_office.cancellation(event)
    assert paused["progress"]["to_refund"] > 0
    assert (await box_office.cancellation(event))["progress"] == paused["progress"]
    await saga(box_office, event).execute_update("resume")
    await in_the_middle(box_office, event, PAID // 2)
    async with without(stack, "work"):
        pass

    report = await finished(box_office, event)
    await asyncio.gather(*payments)
    statuses = [await buyer.status(booking) for booking in flying]
    afterwards = statuses.count("refunded")
    assert set(statuses) <= {"cancelled", "failed", "refunded"}
    assert (report["refunded"], report["failed"]) == (PAID + afterwards, 0)
    assert report["amount"] == (PAID + afterwards) * PRICE
    support = box_office.somebody(Role.SUPPORT)
    assert {await support.status(booking) for booking in paid} == {"refunded"}
    for booking in [*paid, *flying]:
        await pays_back_everything(box_office, booking)
    assert await box_office.free_places(event, "Standing") == PAID + IN_FLIGHT


async def is_paused_and_quiet(office: BoxOffice, event: str) -> bool:
    found = await office.cancellation(event)
    return bool(found["paused"] and not found["progress"]["refunding"])


async def test_a_refund_that_cannot_be_made_is_named_in_the_report_and_holds_up_no_other(
    box_office: BoxOffice,
) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    stuck, fine = (await buyer.bought(event, "A-1-1"))["id"], (await buyer.bought(event, "A-1-2"))["id"]
    await box_office.provider.will("decline", "refund", stuck, times=1000)
    await box_office.cancel(event)

    report = await finished(box_office, event)

    [stranded] = report["stranded"]
    assert (report["refunded"], report["failed"], stranded["booking_id"]) == (1, 1, stuck)
    assert (await buyer.status(fine), await buyer.status(stuck)) == ("refunded", "refunding")

    await box_office.provider.forgive(stuck)
    await box_office.refund_saga(stranded["refund_id"]).execute_update("operate", "retry")
    await buyer.ends_as(stuck, "refunded")
    assert (await box_office.cancellation(event))["progress"]["failed"] == 0


async def test_a_buyers_own_refund_in_progress_is_waited_for_and_the_other_tickets_follow_in_full(
    box_office: BoxOffice,
) -> None:
    policy: dict[str, int | None] = {"fee_percent": 20}
    event, buyer = await box_office.event(refund_policy=policy), box_office.somebody()
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    await box_office.provider.will("processing", "refund", booking["id"])
    assert (await buyer.refund(booking["id"], booking["tickets"][0]["id"])).status_code == 202
    [pending] = await eventually(lambda: box_office.provider.refunds(booking["id"]))
    await box_office.cancel(event)
    await box_office.provider.decide(pending["id"], "succeeded")

    report = await finished(box_office, event)

    assert (report["refunded"], report["amount"]) == (1, 5000)
    assert await buyer.status(booking["id"]) == "refunded"
    assert await box_office.provider.kept(booking["id"]) == 1000  # what the policy kept of the first ticket


async def test_a_buyers_own_refund_that_is_parked_is_named_in_the_report_and_the_other_ticket_follows(
    box_office: BoxOffice,
) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    await box_office.provider.will("decline", "refund", booking["id"], times=1000)
    own = (await buyer.refund(booking["id"], booking["tickets"][0]["id"])).json()["id"]
    await box_office.cancel(event)

    report = await finished(box_office, event)

    assert (report["refunded"], report["to_refund"], report["blocked"], report["failed"]) == (0, 1, 1, 1)
    assert [each["refund_id"] for each in report["stranded"]] == [own]
    await box_office.provider.forgive(booking["id"])
    await box_office.refund_saga(own).execute_update("operate", "retry")
    await buyer.ends_as(booking["id"], "refunded", within=120)
    assert await box_office.provider.kept(booking["id"]) == 0


async def test_cancelling_twice_is_no_error_and_refunds_once(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    await asyncio.gather(*(box_office.cancel(event) for _ in range(4)))
    await finished(box_office, event)
    assert (await box_office.cancel(event))["status"] == "cancelled"
    assert (await box_office.cancellation(event))["report"]["refunded"] == 1
    assert len(await box_office.provider.refunds(booking)) == 1


async def test_a_cancellation_whose_workflow_was_terminated_goes_on_when_it_is_ordered_again(
    box_office: BoxOffice,
) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    await box_office.provider.will("slow", "refund", booking, delay_seconds=1.5)
    await box_office.cancel(event)
    await saga(box_office, event).terminate("by mistake")
    await box_office.cancel(event)
    assert (await finished(box_office, event))["refunded"] == 1
    assert len(await box_office.provider.refunds(booking)) == 1


@pytest.mark.parametrize("paused", [False, True], ids=["at work", "paused"])
async def test_a_cancellation_whose_workflow_is_gone_is_revived_as_it_was(box_office: BoxOffice, paused: bool) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    await box_office.provider.will("processing", "refund", booking["id"])
    await buyer.refund(booking["id"], booking["tickets"][0]["id"])  # which the cancellation waits for
    [pending] = await eventually(lambda: box_office.provider.refunds(booking["id"]))
    await box_office.cancel(event)
    if paused:
        await saga(box_office, event).execute_update("pause")
        await eventually(lambda: is_paused_and_quiet(box_office, event))
    await saga(box_office, event).terminate("by mistake")
    engine = open_engine(box_office.settings.database_url("reservation"), pool_size=2, serves_callers=False)

    async def is_revived() -> bool:
        await box_office.revive(engine, saga(box_office, event))
        return (await saga(box_office, event).describe()).status == WorkflowExecutionStatus.RUNNING

    await eventually(is_revived)
    await engine.dispose()
    if paused:
        assert (await box_office.cancellation(event))["paused"]
        await saga(box_office, event).execute_update("resume")
    await box_office.provider.decide(pending["id"], "succeeded")
    assert (await finished(box_office, event))["refunded"] == 1
    await buyer.ends_as(booking["id"], "refunded")
    assert [each["status"] for each in await box_office.provider.refunds(booking["id"])] == ["succeeded"] * 2


async def test_only_the_organizer_and_staff_see_how_a_cancellation_stands(box_office: BoxOffice) -> None:
    event = await box_office.event()
    assert (await box_office.somebody().get(f"/v1/events/{event}/cancellation")).status_code == 404
    await box_office.cancel(event)
    assert (await finished(box_office, event))["refunded"] == 0
    assert (await box_office.somebody().get(f"/v1/events/{event}/cancellation")).status_code == 404
