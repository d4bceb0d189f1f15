"""After a fault at any step of an exchange the buyer has one seat, the exact money and a clean audit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from audit.invariants import STATE
from config.settings import Settings
from stack import Stack
from tests.buyer import CARD, Buyer
from tests.faults import report
from tests.faults.aftermath import the_audit_is_clean, the_messages_are_right
from tests.faults.effects import Cell, Effect, chosen
from tests.faults.lanes import Lane, lane
from tests.faults.plan import Fault, Point
from tests.faults.report import Outcome, outcome
from tests.faults.scenarios import WITHIN, Scenario
from tests.faults.test_saga import LANES
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive

DEAR, CHEAP = ("A-1-1", 5000), ("B-1-1", 4000)


async def _exchange(buyer: Buyer, booking: str, seat: str, method: str | None) -> str:
    """Request it, as a client should, until its outcome is known; returns the exchange's id."""
    key, [ticket] = str(uuid4()), (await buyer.booking(booking))["tickets"]
    await buyer.exchange(booking, ticket["id"], seat, key=key, method=method)
    [exchange] = await buyer.exchanges(booking)
    return str(exchange["id"])


async def _for_a_dearer_seat(platform: PlatformClient, buyer: Buyer, booking: str) -> str:
    return await _exchange(buyer, booking, DEAR[0], CARD)


async def _for_a_cheaper_seat(platform: PlatformClient, buyer: Buyer, booking: str) -> str:
    return await _exchange(buyer, booking, CHEAP[0], None)


async def _in_vain(platform: PlatformClient, buyer: Buyer, booking: str) -> str:
    await platform.provider.will("decline", "capture", booking, times=1000)
    return await _exchange(buyer, booking, DEAR[0], CARD)


DEARER = Scenario("wants a dearer seat", _for_a_dearer_seat, "completed")
CHEAPER = Scenario("wants a cheaper seat", _for_a_cheaper_seat, "completed")
IN_VAIN = Scenario("wants a dearer seat, and cannot pay it", _in_vain, "failed")
"""Each acts on a confirmed booking and returns the exchange's id; the ending is the exchange's last state."""

EFFECTS = (
    Effect("hold the new seat in Redis", "hold_new_seat", "redis hold", DEARER, more=True),
    Effect("claim the new seat", "hold_new_seat", "commit .*INSERT INTO exchanges", DEARER),
    Effect("open an attempt for the difference", "authorize", "commit .*INSERT INTO attempts", DEARER, more=True),
    Effect("create its intent", "authorize", "provider create", DEARER, refused="failed", more=True),
    Effect("note its intent", "authorize", "commit .*SET intent_id", DEARER, more=True),
    Effect("confirm its intent", "authorize", "provider confirm", DEARER, refused="failed", more=True),
    Effect("note its authorization", "authorize", "commit .*UPDATE attempts SET state", DEARER),
    Effect("commit the exchange", "commit_exchange", "commit", DEARER),
    Effect("count the capture", "capture_difference", "commit .*SET captures_asked", DEARER, more=True),
    Effect("capture the difference", "capture_difference", "provider capture", DEARER, refused="failed", more=True),
    Effect("note the capture", "capture_difference", "commit .*UPDATE attempts SET state", DEARER),
    Effect("swap the seats", "swap_seats", "commit", DEARER, together=True),
    Effect("swap the seats and owe the difference", "swap_seats", "commit", CHEAPER),
    Effect("show the seats in Redis", "show_seats", "redis show", DEARER, last=True),
    Effect("void the difference", "return_difference", "provider void", IN_VAIN, more=True),
    Effect("note the void", "return_difference", "commit .*UPDATE attempts SET state", IN_VAIN),
    Effect("let the new seat go", "fail_exchange", "commit", IN_VAIN, together=True),
    Effect("let the new seat go in Redis", "show_seats", "redis show", IN_VAIN, last=True),
)
CELLS = sample(chosen(EFFECTS), 5, of="faults of an exchange")


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, stack: Stack, settings: Settings) -> dict[Cell, Outcome]:
    """The results of the selected cells, run in parallel."""
    ours = [item for item in request.session.items if getattr(item, "originalname", "") == _NAME]
    wanted = [item.callspec.params["cell"] for item in ours]  # type: ignore[attr-defined]
    found = asyncio.run(_strike_all(settings, wanted, stack.paths.folder / "faults" / uuid4().hex))
    report.write(stack.paths.folder / "proof", "faults-exchange", EFFECTS, found)
    return found


async def _strike_all(settings: Settings, wanted: list[Cell], folder: Path) -> dict[Cell, Outcome]:
    waiting, found = sorted(wanted, key=lambda cell: cell.fault is Fault.LATE), dict[Cell, Outcome]()

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


async def _live_through(opened: Lane, platform: PlatformClient, cell: Cell, events: dict[str, Cell]) -> str:
    effect, buyer = cell.effect, platform.new_buyer()
    old, new = (DEAR, CHEAP) if effect.scenario is CHEAPER else (CHEAP, DEAR)
    event = await eventually(lambda: platform.event(), within=WITHIN)
    events[event] = cell
    booking = str((await buyer.bought(event, old[0]))["id"])
    opened.workers.plan.arm(Point(effect.step, effect.operation, cell.fault))

    if cell.fault is Fault.LATE:
        exchange, _ = await asyncio.gather(effect.scenario.act(platform, buyer, booking), opened.workers.relieve())
    else:
        exchange = await effect.scenario.act(platform, buyer, booking)

    await _is_over(platform, exchange)
    if cell.fault is Fault.LATE:
        await opened.workers.wake()
    await opened.workers.was_struck(cell.fault)
    ending = effect.ending(cell.fault)
    has, lost = (new, old) if ending == "completed" else (old, new)
    await eventually(lambda: _is_right(platform, buyer, event, booking, ending, has, lost), within=WITHIN, every=0.2)
    await the_audit_is_clean(opened.settings, event, invariants=STATE)
    return ending


async def _is_over(platform: PlatformClient, exchange: str) -> None:
    async def closed() -> bool:
        return (await platform.exchange_saga(exchange).describe()).close_time is not None

    await eventually(closed, within=WITHIN)


async def _is_right(
    platform: PlatformClient,
    buyer: Buyer,
    event: str,
    booking: str,
    ending: str,
    has: tuple[str, int],
    lost: tuple[str, int],
) -> bool:
    """The exchange, the booking's one ticket, both seats and the money at the provider say the same."""
    [exchange] = await buyer.exchanges(booking)
    now = await buyer.booking(booking)
    assert (exchange["state"], now["status"]) == (ending, "confirmed"), (exchange, now)
    assert [ticket["seat"] for ticket in now["tickets"]] == [has[0]]
    assert (await platform.seat(event, has[0]), await platform.seat(event, lost[0])) == ("sold", "available")
    assert await platform.provider.kept(booking) == now["amount"] - now["refunded"] == has[1]
    return True


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_an_exchange_survives(outcomes: dict[Cell, Outcome], cell: Cell) -> None:
    assert outcomes[cell].trouble == ""


_NAME = test_an_exchange_survives.__name__
