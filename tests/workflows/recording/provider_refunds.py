"""What the provider gives back without our request."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio.client import WorkflowHistory

from tests.platform_client import PlatformClient
from tests.waiting import eventually
from tests.workflows.recording.shared import ended


async def record(platform: PlatformClient) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    event, buyer = await platform.event(), platform.new_buyer()
    found, lost = [str((await buyer.bought(event, f"A-1-{number}"))["id"]) for number in (1, 2)]
    await platform.provider.send(found, drop=0)
    await platform.refund_by_hand(found, amount=1000)

    async def counted() -> bool:
        return bool((await buyer.booking(found))["refunded"] == 1000)

    await eventually(counted, within=60)
    yield "provider-refund-learned", await ended(platform, f"provider-refunds-{found}")
    await platform.provider.send(lost, drop=1)
    await platform.refund_by_hand(lost, amount=1000)
    refund = (await buyer.refund(lost)).json()["id"]
    yield "refund-of-what-the-provider-left", await ended(platform, f"refund-{refund}")
