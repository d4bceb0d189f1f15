"""One process's clock is ten minutes off: bookings live and expire by the servers' clocks all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from config.settings import Settings
from stack import Stack
from tests.box_office import BoxOffice
from tests.faults.aftermath import money_and_places_are_right, the_audit_is_clean, the_saga_is_over
from tests.faults.lanes import Lane, lane
from tests.faults.stories import CANCELS, DECLINED, WITHIN, hold, pay

OFF = timedelta(minutes=10)
RIGHT = timedelta(0)


@pytest.fixture(
    params=[(OFF, RIGHT), (-OFF, RIGHT), (RIGHT, OFF), (RIGHT, -OFF)],
    ids=["api fast", "api slow", "worker fast", "worker slow"],
)
async def off(request: pytest.FixtureRequest, stack: Stack, settings: Settings) -> AsyncIterator[Lane]:
    """A lane in which either the API's clock or the worker's is off."""
    api, workers = request.param
    folder = stack.place.folder / "faults" / uuid4().hex
    async with lane(settings, folder, api_ahead=api, workers_ahead=workers) as opened:
        yield opened


async def test_bookings_are_sold_declined_cancelled_and_expire_in_time_by_whoever_has_the_wrong_clock(
    off: Lane,
) -> None:
    async with BoxOffice(off.settings) as office:
        event, buyer = await office.event(hold_seconds=60), office.somebody()
        booking = await hold(buyer, event)
        left = datetime.fromisoformat((await buyer.booking(booking))["expires_at"]) - datetime.now(UTC)
        assert timedelta(0) < left <= timedelta(seconds=60)
        assert (await pay(buyer, booking)).status_code == 200
        await money_and_places_are_right(office, event, booking, "confirmed")
        await the_saga_is_over(office, booking)
        await the_audit_is_clean(off.settings, event)

        for story in (DECLINED, CANCELS):
            event, buyer = await office.event(hold_seconds=60), office.somebody()
            booking = await story.act(office, buyer, event)
            assert await buyer.status(booking) == story.ending
            if story is DECLINED:
                assert (await buyer.cancel(booking)).status_code == 200
            await the_audit_is_clean(off.settings, event)

        event, buyer = await office.event(hold_seconds=2), office.somebody()
        booking = await hold(buyer, event)
        await buyer.ends_as(booking, "expired", within=WITHIN)
        await the_saga_is_over(office, booking)
        await the_audit_is_clean(off.settings, event)
