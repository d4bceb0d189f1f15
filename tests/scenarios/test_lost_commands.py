"""A payment command that was lost with its worker, and is too late to execute."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from stack import Stack
from tests.http_client import unless_unavailable
from tests.platform_client import PlatformClient
from tests.scale import FULL
from tests.scenarios.test_outages import without
from tests.waiting import eventually


@pytest.mark.disruptive
@pytest.mark.parametrize("buyer_cancels", [False, True] if FULL else [False])
async def test_a_late_command_of_a_dead_worker_is_undone_before_the_seats_are_freed(
    platform: PlatformClient, stack: Stack, buyer_cancels: bool
) -> None:
    """The worker captures the money and dies before Temporal has recorded the command. The next worker receives
    it after its deadline: the payment is in no history, only in the row and at the provider."""
    hold_seconds = 120 if buyer_cancels else 20
    event, buyer = await platform.event(hold_seconds=hold_seconds), platform.new_buyer()
    booking, key = await buyer.held(event, "A-1-1"), str(uuid4())
    await platform.provider.will("slow", "capture", booking, delay_seconds=1.5)
    paying = asyncio.create_task(unless_unavailable(lambda: buyer.at(platform.hasty).pay(booking, key=key)))
    await eventually(lambda: platform.provider.kept(booking), every=0.01)
    async with without(stack, "work"):
        assert (await paying).status_code == 503
        assert await platform.provider.kept(booking) == 5000
    if buyer_cancels:
        await eventually(lambda: _is_cancelled(platform, booking, buyer.headers), within=60, every=1)

    await buyer.ends_as(booking, "cancelled" if buyer_cancels else "expired", within=90)

    assert await platform.provider.kept(booking) == 0
    assert await platform.seat(event, "A-1-1") == "available"


async def _is_cancelled(platform: PlatformClient, booking: str, headers: dict[str, str]) -> bool:
    return (await platform.http.delete(f"/v1/bookings/{booking}", headers=headers)).status_code == 200
