"""Each saga whose provider is paid another amount than is owed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio.client import WorkflowHistory

from config.settings import Settings
from tests.buyer import CARD_WITH_3DS
from tests.platform_client import PlatformClient
from tests.scenarios.test_amount_differences import parks
from tests.scenarios.test_late_payments import expired
from tests.workflows.recording.shared import ended


async def record(platform: PlatformClient, settings: Settings) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    yield "booking-undone-for-another-amount", await _booking(platform)
    yield "exchange-undone-for-another-amount", await _exchange(platform)
    yield "late-payment-goes-back-for-another-amount", await _late_payment(platform, settings)


async def _booking(platform: PlatformClient) -> WorkflowHistory:
    buyer = platform.new_buyer()
    booking = await buyer.held(await platform.event(), "A-1-1")
    answer = await buyer.pay(booking, CARD_WITH_3DS)
    await platform.provider.alter(booking, amount=4999)
    await platform.provider.act(answer.json()["next_action"]["url"], "approve")
    await parks(platform.saga(booking))
    await platform.saga(booking).execute_update("operate", "retry")
    return await ended(platform, f"booking-{booking}")


async def _exchange(platform: PlatformClient) -> WorkflowHistory:
    buyer = platform.new_buyer()
    booking = await buyer.bought(await platform.event(), "B-1-1")
    ticket = booking["tickets"][0]["id"]
    exchange = (await buyer.exchange(booking["id"], ticket, "A-1-1", method=CARD_WITH_3DS)).json()
    await platform.provider.alter(booking["id"], amount=999)
    await platform.provider.act(exchange["next_action"]["url"], "approve")
    saga = platform.exchange_saga(exchange["id"])
    await parks(saga)
    await saga.execute_update("operate", "resolve")
    return await ended(platform, saga.id)


async def _late_payment(platform: PlatformClient, settings: Settings) -> WorkflowHistory:
    late = await expired(platform, settings)
    await platform.provider.alter(late.booking, amount=4999)
    await late.money_turns_up()
    saga = await late.workflow()
    await parks(saga)
    await saga.execute_update("operate", "retry")
    return await ended(platform, saga.id)
