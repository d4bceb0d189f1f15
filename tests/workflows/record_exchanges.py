"""Records the histories of exchanges, beside those of bookings: see `record.py`."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from config.settings import Settings
from stack import Stack
from tests.buyer import CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.waiting import eventually
from tests.workflows.record import HISTORIES, portable


async def record(platform: PlatformClient) -> dict[str, str]:
    """Live through each way of an exchange; the exchanges by the name of their history."""
    event, buyer = await platform.event(), platform.new_buyer()
    lived = {}
    ways: dict[str, tuple[str, str, dict[str, Any]]] = {
        "exchanged-for-a-dearer-seat": ("B-1-1", "A-1-1", {}),
        "exchanged-for-a-cheaper-seat": ("A-2-1", "B-2-1", {"method": None}),
        "exchanged-for-an-equal-seat": ("A-3-1", "A-3-2", {"method": None}),
        "exchange-declined": ("B-1-2", "A-1-2", {"method": DECLINED_CARD}),
        "exchange-three-d-secure": ("B-1-3", "A-1-3", {"method": CARD_WITH_3DS}),
        "exchange-abandoned": ("B-1-4", "A-1-4", {"method": CARD_WITH_3DS}),
        "exchange-needs-attention": ("B-1-5", "A-1-5", {"method": CARD_WITH_3DS}),
    }
    for name, (old, new, how) in ways.items():
        booking = await buyer.bought(event, old)
        await buyer.exchange(booking["id"], booking["tickets"][0]["id"], new, **how)
        [exchange] = await buyer.exchanges(booking["id"])
        lived[name] = str(exchange["id"])
        path = f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}"
        if name == "exchange-three-d-secure":
            await platform.provider.act(exchange["next_action"]["url"], "approve")
        elif name == "exchange-abandoned":
            await buyer.delete(path)
        elif name == "exchange-needs-attention":
            await _park(platform, buyer, booking["id"], path)
            await platform.exchange_saga(exchange["id"]).execute_update("operate", "retry")
        await platform.exchange_saga(exchange["id"]).result()
    lived["exchange-capture-refused"] = await _capture_refused(platform, buyer, event)
    lived["exchange-refused"] = await _refused(platform, event)
    return lived


async def _park(platform: PlatformClient, buyer: Buyer, booking: str, path: str) -> None:
    await platform.provider.will("500_before", "cancel", booking, times=1000)
    await buyer.delete(path)

    async def is_parked() -> bool:
        return bool((await buyer.exchanges(booking))[0]["needs_attention"])

    await eventually(is_parked, within=60)
    await platform.provider.clear_faults(booking)


async def _capture_refused(platform: PlatformClient, buyer: Buyer, event: str) -> str:
    booking = await buyer.bought(event, "B-1-6")
    await platform.provider.will("decline", "capture", booking["id"])
    await buyer.exchange(booking["id"], booking["tickets"][0]["id"], "A-1-6")
    return str((await buyer.exchanges(booking["id"]))[0]["id"])


async def _refused(platform: PlatformClient, event: str) -> str:
    """An exchange that lost the race for its seat inside its workflow."""
    buyers = [platform.new_buyer() for _ in range(6)]
    bookings = [await buyer.bought(event, f"B-3-{number}") for number, buyer in enumerate(buyers, start=1)]
    await asyncio.gather(
        *(
            buyer.exchange(booking["id"], booking["tickets"][0]["id"], "A-3-9")
            for buyer, booking in zip(buyers, bookings, strict=True)
        )
    )
    query = f"SeatwrightEvent = '{event}' AND WorkflowType = 'Exchange' AND ExecutionStatus = 'Failed'"

    async def failed() -> str:
        found = [each.id async for each in platform.temporal.list_workflows(query)]
        return found[0].removeprefix("exchange-") if found else ""

    return await eventually(failed)


async def main() -> None:
    stack = Stack(os.environ.get("SEATWRIGHT_STACK", "test"), ports="free")
    values = {name.removeprefix("SEATWRIGHT_").lower(): value for name, value in stack.env.items()}
    settings = Settings.model_validate({k: v for k, v in values.items() if k in Settings.model_fields})
    async with PlatformClient(settings) as platform:
        for name, exchange in (await record(platform)).items():
            history = await platform.temporal.get_workflow_handle(f"exchange-{exchange}").fetch_history()
            (HISTORIES / f"{name}.json").write_text(portable(history.to_json()))
            print(f"{name}: {len(history.events)} events")


if __name__ == "__main__":
    asyncio.run(main())
