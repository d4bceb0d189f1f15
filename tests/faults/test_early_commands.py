"""Commands wait when a row is visible before its saga has the hold, since the worker died with the result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import httpx2
import pytest

from config.settings import Settings
from stack import Stack
from tests.buyer import Buyer
from tests.faults.aftermath import money_and_places_are_right, the_audit_is_clean, the_saga_is_over
from tests.faults.effects import SAGA
from tests.faults.lanes import lane
from tests.faults.plan import Fault, Point
from tests.faults.scenarios import SEAT, STANDING, pay
from tests.platform_client import PlatformClient

pytestmark = pytest.mark.disruptive

CLAIM = next(effect for effect in SAGA if effect.name == "claim in Postgres")


async def _cancel(buyer: Buyer, booking: str) -> httpx2.Response:
    return await buyer.cancel(booking)


@pytest.mark.parametrize(("order", "ending"), [(pay, "confirmed"), (_cancel, "cancelled")], ids=["pay", "cancel"])
async def test_a_command_that_arrives_before_the_saga_has_its_hold_is_executed(
    stack: Stack, settings: Settings, order: Callable[[Buyer, str], Awaitable[httpx2.Response]], ending: str
) -> None:
    folder, key = stack.paths.folder / "faults" / uuid4().hex, str(uuid4())
    async with lane(settings, folder) as opened, PlatformClient(opened.settings) as platform:
        event, buyer = await platform.event(), platform.new_buyer()
        opened.workers.plan.arm(Point(CLAIM.step, CLAIM.operation, Fault.KILLED_AFTER))

        async def hold() -> httpx2.Response:
            return await buyer.hold(event, SEAT, key=key, quantities={"Standing": STANDING})

        first = asyncio.create_task(hold())
        await opened.workers.was_struck(Fault.KILLED_AFTER)
        repeated = await hold()
        assert repeated.status_code == 201, repeated.text
        booking = repeated.json()["id"]

        answer = await order(buyer, booking)

        assert answer.status_code == 200, answer.text
        assert (await first).status_code == 201
        await buyer.ends_as(booking, ending)
        await money_and_places_are_right(platform, event, booking, ending)
        await the_saga_is_over(platform, booking)
        await the_audit_is_clean(opened.settings, event)
