"""Records the histories of refunds and of a cancelled event, beside those of bookings: see `record.py`."""

from __future__ import annotations

import asyncio
import os
from uuid import UUID

from temporalio.client import WorkflowHistory

from config.settings import Settings
from stack import Stack
from tests.buyer import Buyer
from tests.platform_client import PlatformClient
from tests.waiting import eventually
from tests.workflows.record import HISTORIES, portable
from workflows.event_cancellation import cancellation_workflow_id


async def refunds(platform: PlatformClient) -> dict[str, str]:
    """Live through each way of a refund; the refunds by the name of their history."""
    event, buyer = await platform.event(), platform.new_buyer()
    bookings = [await buyer.bought(event, f"A-1-{number}", f"A-2-{number}") for number in range(1, 6)]
    whole, failing, stuck, pending, twice = (str(booking["id"]) for booking in bookings)
    lived = {"refunded": await _given_back(buyer, whole)}

    await platform.provider.will("decline", "refund", failing)
    lived["refund-failed-then-retried"] = await _given_back(buyer, failing)

    await platform.provider.will("decline", "refund", stuck, times=3)
    lived["refund-needs-attention"] = await _given_back(buyer, stuck, until="needs_attention")
    await platform.refund_saga(lived["refund-needs-attention"]).execute_update("operate", "retry")
    await _stands(buyer, stuck, "succeeded")

    await platform.provider.will("processing", "refund", pending)
    lived["refund-pending"] = await _given_back(buyer, pending, until="pending")
    [left] = await eventually(lambda: platform.provider.refunds(pending))
    await platform.provider.decide(left["id"], "succeeded")
    await platform.refund_saga(lived["refund-pending"]).signal("provider_has_news")
    await _stands(buyer, pending, "succeeded")

    await asyncio.gather(*(buyer.refund(twice) for _ in range(8)))
    await _stands(buyer, twice, "succeeded")
    lived["refund-refused"] = await eventually(lambda: _refused(platform, event))
    return lived


async def _given_back(buyer: Buyer, booking: str, *, until: str = "succeeded") -> str:
    refund = str((await buyer.refund(booking)).json()["id"])
    await _stands(buyer, booking, until)
    return refund


async def _stands(buyer: Buyer, booking: str, state: str) -> None:
    async def stands() -> bool:
        return bool((await buyer.refunds(booking))[-1]["state"] == state)

    await eventually(stands, within=60)


async def _refused(platform: PlatformClient, event: str) -> str | None:
    """A refund that lost the race for its ticket inside its workflow."""
    query = f"SeatwrightEvent = '{event}' AND WorkflowType = 'Refund' AND ExecutionStatus = 'Failed'"
    async for found in platform.temporal.list_workflows(query):
        return found.id.removeprefix("refund-")
    return None


async def cancellation(platform: PlatformClient) -> list[WorkflowHistory]:
    """Every run of an event's cancellation, in order: two pages, and a refund that is pending for a while."""
    event, buyer = await platform.event(standing=60), platform.new_buyer()
    bookings = [await buyer.bought(event, quantities={"Standing": 1}) for _ in range(52)]
    slow = str(bookings[0]["id"])
    await platform.provider.will("processing", "refund", slow)
    await buyer.held(event, "A-1-1")
    await platform.cancel(event)

    async def only_one_is_left() -> bool:
        return bool((await platform.cancellation(event))["progress"]["refunded"] == 51)

    await eventually(only_one_is_left, within=120)
    [left] = await platform.provider.refunds(slow)
    await platform.provider.decide(left["id"], "succeeded")

    async def is_over() -> bool:
        return bool((await platform.cancellation(event))["finished_at"])

    await eventually(is_over, within=120)
    id = cancellation_workflow_id(UUID(event))
    runs = [found async for found in platform.temporal.list_workflows(f"WorkflowId = '{id}'")]
    runs.sort(key=lambda run: run.start_time)
    return [await platform.temporal.get_workflow_handle(id, run_id=run.run_id).fetch_history() for run in runs]


async def main() -> None:
    stack = Stack(os.environ.get("SEATWRIGHT_STACK", "test"), ports="free")
    values = {name.removeprefix("SEATWRIGHT_").lower(): value for name, value in stack.env.items()}
    settings = Settings.model_validate({k: v for k, v in values.items() if k in Settings.model_fields})
    async with PlatformClient(settings) as platform:
        found = {
            name: await platform.refund_saga(refund).fetch_history()
            for name, refund in (await refunds(platform)).items()
        }
        begins, goes_on, *_, ends = await cancellation(platform)
        found |= {"begins": begins, "goes-on": goes_on, "ends": ends}
        for name, history in found.items():
            path = HISTORIES / f"{name if name.startswith('refund') else f'event-cancellation-together-{name}'}.json"
            path.write_text(portable(history.to_json()))
            print(f"{path.stem}: {len(history.events)} events")


if __name__ == "__main__":
    asyncio.run(main())
