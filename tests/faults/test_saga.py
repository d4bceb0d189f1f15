"""After a fault at any step of the saga the booking ends as in the table, with exact money and a clean audit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from audit.invariants import STATE
from config.settings import Settings
from stack import Stack
from tests.buyer import Buyer
from tests.faults import report
from tests.faults.aftermath import (
    money_and_places_are_right,
    the_audit_is_clean,
    the_messages_are_right,
    the_saga_is_over,
)
from tests.faults.effects import SAGA, Cell, chosen
from tests.faults.lanes import Lane, lane
from tests.faults.plan import Fault, Point
from tests.faults.report import Outcome, outcome
from tests.faults.scenarios import WITHIN
from tests.lanes import CORES
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive  # it breaks nothing of others, but runs all its lanes at once

LANES = 3 * CORES  # a lane mostly waits until Temporal detects a dead worker
CELLS = sample(chosen(SAGA), 24, of="faults of a booking")


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, stack: Stack, settings: Settings) -> dict[Cell, Outcome]:
    """The results of the selected cells, run in parallel."""
    wanted = [item.callspec.params["cell"] for item in request.session.items if _is_ours(item)]  # type: ignore[attr-defined]
    found = asyncio.run(_strike_all(settings, wanted, stack.paths.folder / "faults" / uuid4().hex))
    report.write(stack.paths.folder / "proof", "faults-saga", SAGA, found)
    return found


def _is_ours(item: pytest.Item) -> bool:
    return getattr(item, "originalname", "") == test_a_booking_survives.__name__


async def _strike_all(settings: Settings, wanted: list[Cell], folder: Path) -> dict[Cell, Outcome]:
    waiting, found = sorted(wanted, key=_slowness), dict[Cell, Outcome]()  # the slowest begin

    async def work_off(number: int) -> None:
        async with lane(settings, folder / str(number)) as opened, PlatformClient(opened.settings) as platform:
            events: dict[str, Cell] = {}
            while waiting:
                cell = waiting.pop()
                found[cell] = await outcome(cell, _live_through(opened, platform, cell, events))
                await opened.workers.settle()
            await the_messages_are_right(opened.settings, events, found)

    await asyncio.gather(*(work_off(number) for number in range(min(LANES, len(wanted)))))
    return found


def _slowness(cell: Cell) -> int:
    """Roughly the number of waits until Temporal detects a dead worker."""
    return 2 * (cell.fault is Fault.LATE) + cell.fault.kills + (cell.effect.step == "return_money")


async def _live_through(opened: Lane, platform: PlatformClient, cell: Cell, events: dict[str, Cell]) -> str:
    effect, scenario, buyer = cell.effect, cell.effect.scenario, platform.new_buyer()
    event = await eventually(lambda: platform.event(hold_seconds=scenario.hold_seconds), within=WITHIN)
    events[event] = cell
    opened.workers.plan.arm(Point(effect.step, effect.operation, cell.fault))

    if cell.fault is Fault.LATE:
        booking, _ = await asyncio.gather(scenario.act(platform, buyer, event), opened.workers.relieve())
    else:
        booking = await scenario.act(platform, buyer, event)

    ending = cell.effect.ending(cell.fault)
    await eventually(lambda: _has_status(buyer, booking, ending), within=WITHIN, every=0.2)
    if cell.fault is Fault.LATE:
        if ending != "held":
            await the_saga_is_over(platform, booking)  # so the other has made the effect, too
        await opened.workers.wake()
    await money_and_places_are_right(platform, event, booking, ending)
    if ending == "held":
        assert (await buyer.cancel(booking)).status_code == 200
    await opened.workers.was_struck(cell.fault)
    await the_saga_is_over(platform, booking)
    await the_audit_is_clean(opened.settings, event, invariants=STATE)
    return ending


async def _has_status(buyer: Buyer, booking: str, status: str) -> bool:
    found = await buyer.status(booking)
    assert found == status, f"{found} instead of {status}"
    return True


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_booking_survives(outcomes: dict[Cell, Outcome], cell: Cell) -> None:
    assert outcomes[cell].trouble == ""
