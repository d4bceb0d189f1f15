"""Each way of a booking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from temporalio.client import WorkflowHistory

from stack import Stack
from tests.buyer import CARD, CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.scenarios.test_outages import without
from tests.waiting import eventually
from tests.workflows.recording.shared import ended, refused, reset


async def record(platform: PlatformClient, stack: Stack) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    event, buyer = await platform.event(), platform.new_buyer()
    ways = {
        "booking-confirmed": (await buyer.bought(event, "A-1-1", quantities={"Standing": 2}))["id"],
        "booking-confirmed-after-a-decline": await _declined_first(buyer, event),
        "booking-confirmed-after-3d-secure": await _challenged(platform, buyer, event),
        "booking-confirmed-although-its-answer-was-lost": await _answer_lost(platform, buyer, event),
        "booking-cancelled": await _cancelled(buyer, event),
        "booking-cancelled-while-paying": await _cancelled_while_paying(platform, buyer, event),
        "booking-expired": await _expired(platform, buyer),
        "booking-undone-after-its-worker-died": await _worker_died(platform, buyer, stack),
        **await _after_the_event_was_cancelled(platform, buyer),
    }
    for name, booking in ways.items():
        yield name, await ended(platform, f"booking-{booking}")
    yield "booking-refused", await refused(platform, "hold")
    yield "booking-reset-in-3d-secure", await _reset_while_its_buyer_acts(platform, buyer, event)
    yield "booking-reset-after-its-refund", await _reset_after_its_refund(platform, buyer, event)


async def _declined_first(buyer: Buyer, event: str) -> str:
    booking = await buyer.held(event, "A-1-2")
    await buyer.pay(booking, DECLINED_CARD)
    await buyer.pay(booking, CARD)
    return booking


async def _challenged(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await buyer.held(event, "A-1-3")
    answer = await buyer.pay(booking, CARD_WITH_3DS)
    await platform.provider.act(answer.json()["next_action"]["url"], "approve")
    await buyer.ends_as(booking, "confirmed")
    return booking


async def _reset_while_its_buyer_acts(platform: PlatformClient, buyer: Buyer, event: str) -> WorkflowHistory:
    booking = await buyer.held(event, "A-2-1")
    assert (await buyer.pay(booking, CARD_WITH_3DS)).status_code == 202
    return await reset(platform, f"booking-{booking}")


async def _reset_after_its_refund(platform: PlatformClient, buyer: Buyer, event: str) -> WorkflowHistory:
    booking = (await buyer.bought(event, "A-2-2"))["id"]
    assert (await buyer.refund(booking)).status_code == 202
    await buyer.ends_as(booking, "refunded")
    return await reset(platform, f"booking-{booking}")


async def _answer_lost(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    """The signal makes the server drop the task that ends the saga, and with it the answer to the buyer."""
    booking = await buyer.held(event, "A-1-4")
    await platform.provider.will("slow", "capture", booking, delay_seconds=1.5)
    payment = asyncio.create_task(buyer.pay(booking))
    await eventually(lambda: platform.provider.calls(booking, "confirm"))
    await platform.saga(booking).signal("provider_has_news")
    await payment
    return booking


async def _cancelled(buyer: Buyer, event: str) -> str:
    booking = await buyer.held(event, "A-1-5")
    await buyer.cancel(booking)
    return booking


async def _cancelled_while_paying(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await buyer.held(event, "A-1-6")
    await platform.provider.will("timeout_after", "confirm", booking, delay_seconds=1.5)
    payment = asyncio.create_task(buyer.pay(booking))
    await buyer.ends_as(booking, "paying")
    await buyer.cancel(booking)
    await payment
    return booking


async def _expired(platform: PlatformClient, buyer: Buyer) -> str:
    return await buyer.held(await platform.event(hold_seconds=1), "A-1-1")


async def _worker_died(platform: PlatformClient, buyer: Buyer, stack: Stack) -> str:
    """It takes the money and dies before Temporal has the payment's command, whose time is over afterwards."""
    booking = await buyer.held(await platform.event(hold_seconds=20), "A-1-1")
    await platform.provider.will("slow", "capture", booking, delay_seconds=1.5)
    payment = asyncio.create_task(buyer.pay(booking))
    await eventually(lambda: platform.provider.kept(booking), every=0.01)
    async with without(stack, "work"):
        await payment
    await buyer.ends_as(booking, "expired", within=90)
    return booking


async def _after_the_event_was_cancelled(platform: PlatformClient, buyer: Buyer) -> dict[str, str]:
    event = await platform.event()
    failed, waited = await buyer.held(event, "A-1-1"), await buyer.held(event, "A-1-2")
    await platform.call_off(event)
    await buyer.pay(failed)
    await platform.provider.will("500_before", "cancel", waited, times=1000)
    await buyer.pay(waited)
    await buyer.ends_as(waited, "needs_attention")
    await platform.provider.clear_faults(waited)
    await platform.saga(waited).execute_update("operate", "retry")
    return {
        "booking-failed-because-its-event-was-cancelled": failed,
        "booking-failed-after-an-operators-retry": waited,
    }
