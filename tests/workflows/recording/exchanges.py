"""Each way of an exchange."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from temporalio.client import WorkflowHistory

from tests.buyer import CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.scenarios.test_exchange_crashes import reset_to_second_task
from tests.waiting import eventually
from tests.workflows.recording.shared import ended, refused

_WAYS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "exchange-for-a-dearer-seat": ("B-1-1", "A-1-1", {}),
    "exchange-for-a-cheaper-seat": ("A-2-1", "B-2-1", {"method": None}),
    "exchange-for-an-equal-seat": ("A-3-1", "A-3-2", {"method": None}),
    "exchange-failed-by-a-decline": ("B-1-2", "A-1-2", {"method": DECLINED_CARD}),
    "exchange-failed-by-its-capture": ("B-1-6", "A-1-6", {}),
    "exchange-after-3d-secure": ("B-1-3", "A-1-3", {"method": CARD_WITH_3DS}),
    "exchange-abandoned": ("B-1-4", "A-1-4", {"method": CARD_WITH_3DS}),
    "exchange-abandoned-after-an-operators-retry": ("B-1-5", "A-1-5", {"method": CARD_WITH_3DS}),
    "exchange-abandoned-and-answered-while-it-waits": ("B-1-7", "A-1-7", {"method": CARD_WITH_3DS}),
    "exchange-reset-after-it-was-completed": ("B-1-8", "A-1-8", {}),
}
"""For each way the seat that is given, the one that is wanted, and how the difference is paid."""


async def record(platform: PlatformClient) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    event, buyer = await platform.event(), platform.new_buyer()
    for name, (old, new, how) in _WAYS.items():
        booking = await buyer.bought(event, old)
        if name == "exchange-failed-by-its-capture":
            await platform.provider.will("decline", "capture", booking["id"])
        await buyer.exchange(booking["id"], booking["tickets"][0]["id"], new, **how)
        [exchange] = await buyer.exchanges(booking["id"])
        path = f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}"
        if name == "exchange-after-3d-secure":
            await platform.provider.act(exchange["next_action"]["url"], "approve")
        elif name == "exchange-abandoned":
            await buyer.delete(path)
        elif name in ("exchange-abandoned-after-an-operators-retry", "exchange-abandoned-and-answered-while-it-waits"):
            await _wait_for_operator(platform, buyer, booking["id"], path)
            await platform.exchange_saga(exchange["id"]).execute_update("operate", "retry")
        if name == "exchange-reset-after-it-was-completed":
            await reset_to_second_task(platform, platform.exchange_saga(exchange["id"]))
        yield name, await ended(platform, f"exchange-{exchange['id']}")
    yield "exchange-refused", await refused(platform, "exchange")


async def _wait_for_operator(platform: PlatformClient, buyer: Buyer, booking: str, path: str) -> None:
    await platform.provider.will("500_before", "cancel", booking, times=1000)
    await buyer.at(platform.hasty).delete(path)

    async def waits() -> bool:
        return bool((await buyer.exchanges(booking))[0]["needs_attention"])

    await eventually(waits, within=60)
    await platform.provider.clear_faults(booking)
