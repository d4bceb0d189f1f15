"""Records the histories that `test_replay.py` replays, by living through each ending on the running test stack.

`python -m tests.workflows.record late` records those of payments that come late only.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from functools import partial
from pathlib import Path

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from config.settings import Settings
from stack import Stack
from tests.buyer import CARD, CARD_WITH_3DS, DECLINED_CARD
from tests.platform_client import PlatformClient
from tests.waiting import eventually

HISTORIES = Path(__file__).parent.parent / "histories"


async def record(platform: PlatformClient) -> dict[str, str]:
    """Live through each ending; the workflows by the name of their ending."""
    event, buyer = await platform.event(), platform.new_buyer()
    lived = {"confirmed": (await buyer.bought(event, "A-1-1", quantities={"Standing": 2}))["id"]}

    lived["declined-then-confirmed"] = booking = await buyer.held(event, "A-1-2")
    await buyer.pay(booking, DECLINED_CARD)
    await buyer.pay(booking, CARD)

    lived["cancelled"] = booking = await buyer.held(event, "A-1-3")
    await buyer.cancel(booking)

    lived["three-d-secure"] = booking = await buyer.held(event, "A-1-4")
    answer = await buyer.pay(booking, CARD_WITH_3DS)
    await platform.provider.act(answer.json()["next_action"]["url"], "approve")
    await buyer.ends_as(booking, "confirmed")

    brief = await platform.event(hold_seconds=1)
    lived["expired"] = booking = await buyer.held(brief, "A-1-1")
    await buyer.ends_as(booking, "expired")

    await asyncio.gather(*(platform.new_buyer().hold(event, "B-1-1") for _ in range(8)))
    lived["seats-unavailable"] = await eventually(lambda: _refused(platform, event))

    lived["failed"] = booking = await buyer.held(event, "A-1-5")
    lived["needs-attention"] = stuck = await buyer.held(event, "A-1-6")
    await platform.call_off(event)
    await buyer.pay(booking)
    await platform.provider.will("500_before", "cancel", stuck, times=1000)
    await buyer.pay(stuck)
    await buyer.ends_as(stuck, "needs_attention")
    await platform.provider.clear_faults(stuck)
    await platform.saga(stuck).execute_update("operate", "retry")
    await buyer.ends_as(stuck, "failed")
    return {name: f"booking-{booking}" for name, booking in lived.items()}


async def record_late(platform: PlatformClient) -> dict[str, str]:
    """Payments that the buyer gave up and the provider decides when the booking is over."""
    event, lived = await platform.event(hold_seconds=3), {}
    for ending, seat in {"sold": "A-1-1", "returned": "A-1-2"}.items():
        buyer = platform.new_buyer()
        booking = await buyer.held(event, seat)
        await platform.provider.will("processing", "confirm", booking)
        await buyer.pay(booking)
        await buyer.abandon(booking)
        await buyer.ends_as(booking, "expired")
        if ending == "returned":
            await platform.new_buyer().bought(event, seat)
        await platform.provider.settle(booking)
        lived["abandoned"] = f"booking-{booking}"
        [intent] = await platform.provider.intents(booking)
        lived[f"late-payment-{ending}"] = f"late-payment-{intent['id']}"
        await eventually(partial(_is_over, platform, lived[f"late-payment-{ending}"]), within=60)
    return lived


async def _is_over(platform: PlatformClient, workflow: str) -> bool:
    try:
        found = await platform.temporal.get_workflow_handle(workflow).describe()
    except RPCError:
        return False
    return found.status == WorkflowExecutionStatus.COMPLETED


async def _refused(platform: PlatformClient, event: str) -> str | None:
    """A booking that lost the race for its seat inside its workflow."""
    async for found in platform.temporal.list_workflows(f"SeatwrightEvent = '{event}' AND ExecutionStatus = 'Failed'"):
        return found.id.removeprefix("booking-")
    return None


def portable(history: str) -> str:
    """Without stack traces: they name the paths of one machine, and replaying does not look at them."""
    return re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', history)


async def main() -> None:
    stack = Stack(os.environ.get("SEATWRIGHT_STACK", "test"), ports="free")
    values = {name.removeprefix("SEATWRIGHT_").lower(): value for name, value in stack.env.items()}
    settings = Settings.model_validate({k: v for k, v in values.items() if k in Settings.model_fields})
    async with PlatformClient(settings) as platform:
        lived = {} if sys.argv[1:] == ["late"] else await record(platform)
        for name, workflow in (lived | await record_late(platform)).items():
            history = await platform.temporal.get_workflow_handle(workflow).fetch_history()
            (HISTORIES / f"{name}.json").write_text(portable(history.to_json()))
            print(f"{name}: {len(history.events)} events")


if __name__ == "__main__":
    asyncio.run(main())
