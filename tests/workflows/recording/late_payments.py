"""Each way of a payment that the buyer abandons and the provider decides when the booking is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio.client import WorkflowHistory

from config.settings import Settings
from tests.platform_client import PlatformClient
from tests.scenarios.test_late_payments import undecided
from tests.waiting import eventually
from tests.workflows.recording.shared import ended


async def record(platform: PlatformClient, settings: Settings) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    for name, is_taken in {"late-payment-gets-its-seats": False, "late-payment-goes-back": True}.items():
        late = await undecided(platform, settings)
        await late.buyer.ends_as(late.booking, "expired")
        yield "booking-expired-after-an-abandoned-payment", await ended(platform, f"booking-{late.booking}")
        if is_taken:
            await platform.new_buyer().bought(late.event, "A-1-3")
        await late.money_turns_up()
        yield name, await ended(platform, (await late.workflow()).id)

    late = await undecided(platform, settings, hold_seconds=120)
    await late.buyer.cancel(late.booking)
    await platform.provider.will("processing", "refund", late.booking)
    await late.money_turns_up()
    [intent] = await platform.provider.intents(late.booking)
    await platform.provider.as_stripe(f"/v1/payment_intents/{intent['id']}/capture", {}, settings)
    pending = await eventually(lambda: platform.provider.left_pending(late.booking), within=60)
    await platform.provider.decide(str(pending), "succeeded")
    yield "late-payment-goes-back-after-a-pending-refund", await ended(platform, (await late.workflow()).id)
