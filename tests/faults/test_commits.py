"""Postgres is killed while a worker is at its COMMIT: nobody knows whether it counted, and the booking ends right."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from config.settings import Settings
from stack import Stack
from tests.box_office import BoxOffice
from tests.faults.aftermath import money_and_places_are_right, the_audit_is_clean, the_saga_is_over
from tests.faults.effects import SAGA, Effect
from tests.faults.lanes import lane
from tests.faults.plan import Fault, Point
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive

TRANSACTIONS = [
    effect
    for effect in SAGA
    if effect.name in ("claim in Postgres", "note the authorization", "commit the seats", "issue the tickets")
]


@pytest.fixture
async def the_stack_goes_on(settings: Settings) -> AsyncIterator[None]:
    """Leave no test after us with the broken connections of the stack's own processes."""
    yield
    async with BoxOffice(settings) as office:
        await eventually(office.event, within=60)


@pytest.mark.usefixtures("the_stack_goes_on")
@pytest.mark.parametrize("effect", TRANSACTIONS, ids=lambda effect: effect.name)
async def test_a_booking_survives_the_death_of_postgres_at_a_commit(
    stack: Stack, settings: Settings, effect: Effect
) -> None:
    patient = settings.model_copy(update={"compensation_attempts": 12})  # as in production
    async with (
        lane(patient, stack.place.folder / "faults" / uuid4().hex) as opened,
        BoxOffice(opened.settings) as office,
    ):
        event, buyer = await office.event(), office.somebody()
        opened.workers.plan.arm(Point(effect.step, effect.operation, Fault.LATE))
        buying = asyncio.create_task(effect.story.act(office, buyer, event))
        worker = await opened.workers.stands_still()
        await asyncio.to_thread(stack.kill, "postgres")
        os.kill(worker, signal.SIGCONT)
        await asyncio.to_thread(stack.start, "postgres")
        booking = await buying
        await buyer.ends_as(booking, "confirmed")
        await money_and_places_are_right(office, event, booking, "confirmed")
        await the_saga_is_over(office, booking)
        await the_audit_is_clean(opened.settings, event)
