"""Bookings end right when Postgres is killed during COMMITs with an unknown outcome."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from config.settings import Settings
from stack import Stack
from tests.faults.aftermath import money_and_places_are_right, the_audit_is_clean, the_saga_is_over
from tests.faults.effects import SAGA, Effect
from tests.faults.lanes import lane
from tests.faults.plan import Fault, Point
from tests.faults.scenarios import SEAT
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.test_outcomes import register
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive

COMMITS = sample(
    ("claim in Postgres", "note the authorization", "commit the seats", "issue the tickets"), 2, of="deaths at a commit"
)
TRANSACTIONS = [effect for effect in SAGA if effect.name in COMMITS]


@pytest.fixture
async def the_stack_goes_on(settings: Settings) -> AsyncIterator[None]:
    """Replace broken connections of the stack's processes before the next test."""
    yield
    async with PlatformClient(settings) as platform:
        await eventually(lambda: _sells(platform), within=60)


async def _sells(platform: PlatformClient) -> bool:
    buyer = await register(platform)
    return bool(await buyer.bought(await platform.event(), SEAT))


class Death:
    """Kill and restart Postgres once, when all have reached their commits."""

    def __init__(self, stack: Stack, many: int) -> None:
        self._stack = stack
        self._is_dead = asyncio.Event()
        self.all_are_ready = asyncio.Barrier(many)
        self._all_stand_still = asyncio.Barrier(many)

    async def strike(self, worker: int) -> None:
        """Resume the stopped worker as soon as Postgres is dead."""
        is_first = await self._all_stand_still.wait() == 0
        if is_first:
            await asyncio.to_thread(self._stack.kill, "postgres")
            self._is_dead.set()
        await self._is_dead.wait()
        os.kill(worker, signal.SIGCONT)
        if is_first:
            await asyncio.to_thread(self._stack.start, "postgres")


@pytest.mark.usefixtures("the_stack_goes_on")
async def test_bookings_survive_the_death_of_postgres_at_a_commit(stack: Stack, settings: Settings) -> None:
    patient = settings.model_copy(update={"compensation_attempts": 12})  # as in production
    folder, death = stack.paths.folder / "faults" / uuid4().hex, Death(stack, len(TRANSACTIONS))
    async with asyncio.TaskGroup() as lanes:
        for effect in TRANSACTIONS:
            lanes.create_task(_live_through(patient, folder / effect.step, death, effect), name=effect.name)


async def _live_through(settings: Settings, folder: Path, death: Death, effect: Effect) -> None:
    async with lane(settings, folder) as opened, PlatformClient(opened.settings) as platform:
        event, buyer = await platform.event(), platform.new_buyer()
        opened.workers.plan.arm(Point(effect.step, effect.operation, Fault.LATE))
        await death.all_are_ready.wait()
        buying = asyncio.ensure_future(effect.scenario.act(platform, buyer, event))
        await death.strike(await opened.workers.stands_still())
        booking = await buying
        await buyer.ends_as(booking, "confirmed")
        await money_and_places_are_right(platform, event, booking, "confirmed")
        await the_saga_is_over(platform, booking)
        await the_audit_is_clean(opened.settings, event)
