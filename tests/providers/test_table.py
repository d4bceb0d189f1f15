"""One table of scenarios, lived through at every provider from the REST call to the audit, many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import pytest

from audit.invariants import STATE
from config.settings import Settings
from stack import Stack
from tests.buyer import Buyer
from tests.faults import aftermath
from tests.faults.report import Outcome, outcome
from tests.faults.scenarios import WITHIN, hold
from tests.http_client import patient_client
from tests.lanes import CORES
from tests.platform_client import PlatformClient
from tests.providers import report
from tests.providers.checkouts import Visit
from tests.providers.rows import Cell, cells

AT_ONCE, AUDITS_AT_ONCE = min(24, 6 * CORES), min(4, CORES)
PRODUCTION = {"SEATWRIGHT_COMPENSATION_ATTEMPTS": "12", "SEATWRIGHT_PAYMENT_WINDOW": "600"}


@pytest.fixture
async def patient(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    """An API whose bookings try as often and wait as long as in production; the worker serves those of both APIs."""
    names = [f"{service}-patient-{uuid4().hex[:8]}" for service in ("api", "work")]
    await asyncio.to_thread(stack.stop, "work")
    try:
        api, _ = [await asyncio.to_thread(stack.spawn, name, name.split("-")[0], env=PRODUCTION) for name in names]
        async with patient_client(f"http://127.0.0.1:{api.ports['api']}") as http:
            yield http
        for name in names:
            await asyncio.to_thread(stack.stop, name)
    finally:
        await asyncio.to_thread(stack.start, "work")


@pytest.mark.disruptive  # it leaves the workers no time for tests beside it
async def test_every_scenario_ends_right_at_every_provider(
    settings: Settings, patient: httpx2.AsyncClient, stack: Stack
) -> None:
    found, events = dict[str, Outcome](), dict[str, str]()
    gate, auditing = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AUDITS_AT_ONCE)

    async with PlatformClient(settings) as platform:

        async def fill(cell: Cell) -> None:
            async with gate:
                buyer = platform.new_buyer()
                at = buyer if cell.row.is_hasty else buyer.at(patient)
                found[str(cell)] = await outcome(cell, _live_through(platform, at, cell, events, auditing))

        await asyncio.gather(*map(fill, cells()))
    await aftermath.the_messages_are_right(settings, events, found)
    report.write(stack.paths.folder / "proof", found)
    print("\n".join(report.lines(found)))
    troubles = [f"{cell}: {outcome.trouble}" for cell, outcome in found.items() if outcome.trouble]
    assert not troubles, "\n".join(troubles)


async def _live_through(
    platform: PlatformClient, buyer: Buyer, cell: Cell, events: dict[str, str], auditing: asyncio.Semaphore
) -> str:
    event = await platform.event(hold_seconds=cell.row.hold_seconds, rows=1, seats_per_row=2, standing=4)
    events[event] = str(cell)
    visit = Visit(platform, buyer, event, await hold(buyer, event), cell.checkout)
    ending = await cell.row.act(visit)
    await buyer.ends_as(visit.booking, ending, within=WITHIN)
    await aftermath.money_and_places_are_right(platform, event, visit.booking, ending)
    async with auditing:
        await aftermath.the_audit_is_clean(platform.settings, event, invariants=STATE)
    return ending
