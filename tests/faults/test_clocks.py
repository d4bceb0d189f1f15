"""Bookings follow the servers' clocks when one process's clock is ten minutes off."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from uuid import uuid4

import pytest

from config.settings import Settings
from stack import Stack
from tests.faults.aftermath import money_and_places_are_right, the_audit_is_clean, the_saga_is_over
from tests.faults.lanes import lane
from tests.faults.report import Outcome, outcome
from tests.faults.scenarios import CANCELS, DECLINED, WITHIN, hold, pay
from tests.platform_client import PlatformClient
from tests.scale import FULL

pytestmark = pytest.mark.disruptive  # it breaks nothing of others, but runs all its lanes at once

OFF = timedelta(minutes=10)
HELD = timedelta(minutes=5)  # less than a clock is off, and enough for a busy machine
RIGHT = timedelta(0)
CLOCKS = {  # how far the API's is ahead, and the worker's
    "api fast": (OFF, RIGHT),
    "api slow": (-OFF, RIGHT),
    "worker fast": (RIGHT, OFF),
    "worker slow": (RIGHT, -OFF),
}
SAMPLE = CLOCKS if FULL else {each: CLOCKS[each] for each in ("api slow", "worker fast")}


@pytest.fixture(scope="module")
def outcomes(stack: Stack, settings: Settings) -> dict[str, Outcome]:
    """The results for each wrong clock, run in parallel."""
    folder = stack.paths.folder / "faults" / uuid4().hex

    async def live_with_all() -> dict[str, Outcome]:
        found = await asyncio.gather(
            *(outcome(name, _live_with(settings, folder / name, *ahead)) for name, ahead in SAMPLE.items())
        )
        return dict(zip(SAMPLE, found, strict=True))

    return asyncio.run(live_with_all())


async def _live_with(settings: Settings, folder: Path, api: timedelta, workers: timedelta) -> str:
    async with (
        lane(settings, folder, api_ahead=api, workers_ahead=workers) as off,
        PlatformClient(off.settings) as platform,
    ):
        events = await asyncio.gather(_is_sold(platform), _is_declined_or_cancelled(platform), _expires(platform))
        for event in chain(*events):
            await the_audit_is_clean(off.settings, event)
    return "in time"


async def _is_sold(platform: PlatformClient) -> list[str]:
    event, buyer = await platform.event(hold_seconds=int(HELD.total_seconds())), platform.new_buyer()
    booking = await hold(buyer, event)
    left = datetime.fromisoformat((await buyer.booking(booking))["expires_at"]) - datetime.now(UTC)
    assert timedelta(0) < left <= HELD
    assert (await pay(buyer, booking)).status_code == 200
    await money_and_places_are_right(platform, event, booking, "confirmed")
    await the_saga_is_over(platform, booking)
    return [event]


async def _is_declined_or_cancelled(platform: PlatformClient) -> list[str]:
    events = []
    for scenario in (DECLINED, CANCELS):
        event, buyer = await platform.event(hold_seconds=int(HELD.total_seconds())), platform.new_buyer()
        booking = await scenario.act(platform, buyer, event)
        assert await buyer.status(booking) == scenario.ending
        if scenario is DECLINED:
            assert (await buyer.cancel(booking)).status_code == 200
        events.append(event)
    return events


async def _expires(platform: PlatformClient) -> list[str]:
    event, buyer = await platform.event(hold_seconds=2), platform.new_buyer()
    booking = await hold(buyer, event)
    await buyer.ends_as(booking, "expired", within=WITHIN)
    await the_saga_is_over(platform, booking)
    return [event]


@pytest.mark.parametrize("clock", SAMPLE)
def test_bookings_end_right_and_in_time_whichever_process_has_a_wrong_clock(
    outcomes: dict[str, Outcome], clock: str
) -> None:
    assert outcomes[clock].trouble == ""
