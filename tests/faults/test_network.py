"""Bookings end right on a bad network between a worker and each server, and between relay and Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar
from uuid import uuid4

import pytest

from config.settings import Settings
from stack import Stack
from tests.buyer import Buyer
from tests.conftest import settings_of
from tests.faults.aftermath import money_and_places_are_right, the_audit_is_clean, the_saga_is_over
from tests.faults.lanes import Workers, lane
from tests.faults.report import Outcome, outcome, write_network
from tests.faults.scenarios import hold, pay
from tests.faults.test_outside import Sold, is_told_in_order
from tests.network import Line, Network
from tests.platform_client import PlatformClient
from tests.scale import FULL, SEED
from tests.scenarios.test_outcomes import register
from workers import relay

pytestmark = pytest.mark.disruptive

T = TypeVar("T")
SERVERS = ("redis", "postgres", "temporal", "sandbox", "kafka")
TROUBLES: dict[str, Callable[[Line], Awaitable[None]]] = {
    "slow": lambda line: line.slow(0.4, jitter=0.2),
    "cut": Line.cut,
    "black hole": Line.black_hole,
    "reset": Line.reset,
}
BAD_FOR = 5.0  # seconds; longer than any timeout of one call to Redis or Postgres


class Weather(NamedTuple):
    server: str
    trouble: str

    def __str__(self) -> str:
        return f"{self.server} - {self.trouble}"


ALL = [Weather(server, trouble) for server in SERVERS for trouble in TROUBLES]
SAMPLE = ALL if FULL else [Weather(server, Random(f"{server} {SEED}").choice(list(TROUBLES))) for server in SERVERS]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, stack: Stack, settings: Settings) -> dict[tuple[str, str], Outcome]:
    """The result of a booking for each network fault; servers in parallel, the faults of one server in turn."""
    ours = test_a_booking_survives_a_bad_network.__name__
    items = [item for item in request.session.items if getattr(item, "originalname", "") == ours]
    wanted = [item.callspec.params["weather"] for item in items]  # type: ignore[attr-defined]
    stack.up("toxiproxy")
    stack.stop("relay")  # so that the only relay is the one with the bad line to Kafka
    try:
        found = asyncio.run(_go_through(stack, settings, wanted))
    finally:
        stack.start("relay")
    write_network(stack.paths.folder / "proof", found)
    return found


async def _go_through(stack: Stack, settings: Settings, wanted: list[Weather]) -> dict[tuple[str, str], Outcome]:
    found: dict[tuple[str, str], Outcome] = {}
    folder = stack.paths.folder / "faults" / uuid4().hex

    async def at(server: str) -> None:
        async with Network(stack) as network:
            line = await network.line(server)
            led = settings_of(stack.env | network.env)
            troubles = [each.trouble for each in wanted if each.server == server]
            live = _relay if server == "kafka" else _work
            async for trouble, came in live(settings, led, folder / server, line, troubles):
                found[Weather(server, trouble)] = came

    await asyncio.gather(*(at(server) for server in {each.server for each in wanted}))
    return found


async def _work(
    settings: Settings, led: Settings, folder: Path, line: Line, troubles: list[str]
) -> AsyncIterator[tuple[str, Outcome]]:
    patient = settings.model_copy(update={"compensation_attempts": 12})  # as in production
    async with (
        lane(patient, folder, workers_base=led) as opened,
        PlatformClient(opened.settings) as platform,
    ):
        for trouble in troubles:
            yield trouble, await outcome(trouble, _buy(platform, line, trouble))


async def _buy(platform: PlatformClient, line: Line, trouble: str) -> str:
    event, buyer = await platform.event(hold_seconds=300), platform.new_buyer()
    booking = await _during(line, trouble, hold(buyer, event))
    answer = await _during(line, trouble, pay(buyer, booking))
    assert answer.status_code == 200, answer.text
    await money_and_places_are_right(platform, event, booking, "confirmed")
    await the_saga_is_over(platform, booking)
    await the_audit_is_clean(platform.settings, event)
    return await buyer.status(booking)


async def _relay(
    settings: Settings, led: Settings, folder: Path, line: Line, troubles: list[str]
) -> AsyncIterator[tuple[str, Outcome]]:
    await asyncio.to_thread(folder.mkdir, parents=True)
    async with Workers("relay", led, relay.SERVICES, folder), PlatformClient(settings) as platform:
        for trouble in troubles:
            yield trouble, await outcome(trouble, _tell(platform, line, trouble))


async def _tell(platform: PlatformClient, line: Line, trouble: str) -> str:
    event, buyer = await platform.event(), await register(platform)
    booking = await _during(line, trouble, _buy_and_wait(buyer, event))
    await is_told_in_order(Sold(platform, buyer, event, booking))
    return await buyer.status(booking)


async def _buy_and_wait(buyer: Buyer, event: str) -> str:
    booking = await hold(buyer, event)
    await asyncio.gather(pay(buyer, booking), asyncio.sleep(BAD_FOR))  # buyers do not wait for the relay
    return booking


async def _during(line: Line, trouble: str, doing: Awaitable[T]) -> T:
    """Run an action on the bad network, and repair it when the action is done or has waited long enough."""
    await TROUBLES[trouble](line)
    task = asyncio.ensure_future(doing)
    await asyncio.wait({task}, timeout=BAD_FOR)
    await line.heal()
    return await task


@pytest.mark.parametrize("weather", SAMPLE, ids=str)
def test_a_booking_survives_a_bad_network(outcomes: dict[tuple[str, str], Outcome], weather: Weather) -> None:
    assert outcomes[weather].trouble == ""
