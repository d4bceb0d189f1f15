"""Each way of a booking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from temporalio.client import WorkflowHistory

from stack import Stack
from tests.box_office import BoxOffice
from tests.buyer import CARD, CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.scenarios.test_outages import without
from tests.waiting import eventually
from tests.workflows.recording.shared import ended, refused


async def record(office: BoxOffice, stack: Stack) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    event, buyer = await office.event(), office.somebody()
    ways = {
        "booking-confirmed": (await buyer.bought(event, "A-1-1", quantities={"Standing": 2}))["id"],
        "booking-confirmed-after-a-decline": await _declined_first(buyer, event),
        "booking-confirmed-after-3d-secure": await _challenged(office, buyer, event),
        "booking-confirmed-although-its-answer-was-lost": await _answer_lost(office, buyer, event),
        "booking-cancelled": await _cancelled(buyer, event),
        "booking-cancelled-while-paying": await _cancelled_while_paying(office, buyer, event),
        "booking-expired": await _expired(office, buyer),
        "booking-undone-after-its-worker-died": await _worker_died(office, buyer, stack),
        **await _after_the_event_was_cancelled(office, buyer),
    }
    for name, booking in ways.items():
        yield name, await ended(office, f"booking-{booking}")
    await asyncio.gather(*(office.somebody().hold(event, "B-1-1") for _ in range(8)))
    yield "booking-refused-because-its-seat-was-taken", await refused(office, event, "Booking")


async def _declined_first(buyer: Buyer, event: str) -> str:
    booking = await buyer.held(event, "A-1-2")
    await buyer.pay(booking, DECLINED_CARD)
    await buyer.pay(booking, CARD)
    return booking


async def _challenged(office: BoxOffice, buyer: Buyer, event: str) -> str:
    booking = await buyer.held(event, "A-1-3")
    answer = await buyer.pay(booking, CARD_WITH_3DS)
    await office.provider.act(answer.json()["next_action"]["url"], "approve")
    await buyer.ends_as(booking, "confirmed")
    return booking


async def _answer_lost(office: BoxOffice, buyer: Buyer, event: str) -> str:
    """The signal makes the server drop the task that ends the saga, and with it the answer to the buyer."""
    booking = await buyer.held(event, "A-1-4")
    await office.provider.will("slow", "capture", booking, delay_seconds=1.5)
    payment = asyncio.create_task(buyer.pay(booking))
    await eventually(lambda: office.provider.calls(booking, "confirm"))
    await office.saga(booking).signal("provider_has_news")
    await payment
    return booking


async def _cancelled(buyer: Buyer, event: str) -> str:
    booking = await buyer.held(event, "A-1-5")
    await buyer.cancel(booking)
    return booking


async def _cancelled_while_paying(office: BoxOffice, buyer: Buyer, event: str) -> str:
    booking = await buyer.held(event, "A-1-6")
    await office.provider.will("timeout_after", "confirm", booking, delay_seconds=1.5)
    payment = asyncio.create_task(buyer.pay(booking))
    await buyer.ends_as(booking, "paying")
    await buyer.cancel(booking)
    await payment
    return booking


async def _expired(office: BoxOffice, buyer: Buyer) -> str:
    return await buyer.held(await office.event(hold_seconds=1), "A-1-1")


async def _worker_died(office: BoxOffice, buyer: Buyer, stack: Stack) -> str:
    """It takes the money and dies before Temporal has the payment's command, whose time is over afterwards."""
    booking = await buyer.held(await office.event(hold_seconds=20), "A-1-1")
    await office.provider.will("slow", "capture", booking, delay_seconds=1.5)
    payment = asyncio.create_task(buyer.pay(booking))
    await eventually(lambda: office.provider.kept(booking), every=0.01)
    async with without(stack, "work"):
        await payment
    await buyer.ends_as(booking, "expired", within=90)
    return booking


async def _after_the_event_was_cancelled(office: BoxOffice, buyer: Buyer) -> dict[str, str]:
    event = await office.event()
    failed, waited = await buyer.held(event, "A-1-1"), await buyer.held(event, "A-1-2")
    await office.call_off(event)
    await buyer.pay(failed)
    await office.provider.will("500_before", "cancel", waited, times=1000)
    await buyer.pay(waited)
    await buyer.ends_as(waited, "needs_attention")
    await office.provider.forgive(waited)
    await office.saga(waited).execute_update("operate", "retry")
    return {
        "booking-failed-because-its-event-was-cancelled": failed,
        "booking-failed-after-an-operators-retry": waited,
    }
