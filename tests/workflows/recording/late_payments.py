"""Each way of a payment that the buyer abandons and the provider decides when the booking is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio.client import WorkflowHistory

from config.settings import Settings
from tests.box_office import BoxOffice
from tests.scenarios.test_late_payments import undecided
from tests.waiting import eventually
from tests.workflows.recording.shared import ended


async def record(office: BoxOffice, settings: Settings) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    for name, is_taken in {"late-payment-gets-its-seats": False, "late-payment-goes-back": True}.items():
        late = await undecided(office, settings)
        await late.buyer.ends_as(late.booking, "expired")
        yield "booking-expired-after-an-abandoned-payment", await ended(office, f"booking-{late.booking}")
        if is_taken:
            await office.somebody().bought(late.event, "A-1-3")
        await late.money_turns_up()
        yield name, await ended(office, (await late.workflow()).id)

    late = await undecided(office, settings, hold_seconds=120)
    await late.buyer.cancel(late.booking)
    await office.provider.will("processing", "refund", late.booking)
    await late.money_turns_up()
    [intent] = await office.provider.intents(late.booking)
    await office.provider.as_stripe(f"/v1/payment_intents/{intent['id']}/capture", {}, settings)
    pending = await eventually(lambda: office.provider.left_pending(late.booking), within=60)
    await office.provider.decide(str(pending), "succeeded")
    yield "late-payment-goes-back-after-a-pending-refund", await ended(office, (await late.workflow()).id)
