"""After faults between the outbox and the last consumer every event arrives in order and is counted once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from config.settings import Settings
from domain.domain_events import BookingEvent, CatalogueEvent
from stack import Stack
from tests.faults import report
from tests.faults.effects import ANALYTICS, NOTIFICATION, OUTSIDE, RELAY, SEARCH, Cell, Effect, chosen
from tests.faults.lanes import Workers
from tests.faults.plan import Point
from tests.faults.report import Outcome, outcome
from tests.faults.scenarios import AMOUNT, STANDING, WITHIN, hold, pay
from tests.http_client import http_client
from tests.platform_client import PlatformClient
from tests.scenarios.test_outcomes import Registered, ends, is_handled, is_published, mails_to, register, sales, told
from tests.waiting import eventually
from workers import relay

pytestmark = pytest.mark.disruptive

CELLS = chosen(OUTSIDE)


class Sold(NamedTuple):
    """One booking, and the systems with its effects."""

    platform: PlatformClient
    buyer: Registered
    event: str
    booking: str


async def is_told_in_order(sold: Sold) -> None:
    lived = ["booking.held", "booking.paying", "booking.confirmed"]
    settings = sold.platform.settings
    messages = await told(settings, BookingEvent.topic, sold.booking, len(lived))
    first: dict[str, str] = {}
    for message in messages:
        first.setdefault(message.headers["ce_id"], message.headers["ce_type"])
    assert list(first.values()) == lived
    await eventually(lambda: asyncio.to_thread(is_published, settings, sold.booking), within=WITHIN)


async def _is_handled(sold: Sold, group: str, topic: str) -> None:
    """Wait until the group has handled the events, again if it has lost its offsets."""
    settings = sold.platform.settings
    await eventually(lambda: asyncio.to_thread(is_published, settings, sold.booking), within=WITHIN)
    until = await asyncio.to_thread(ends, settings, topic)
    await eventually(lambda: asyncio.to_thread(is_handled, settings, group, topic, until), within=WITHIN)


async def _is_counted_once(sold: Sold) -> None:
    await _is_handled(sold, "analytics", BookingEvent.topic)
    assert sales(sold.platform.settings, sold.event) == [(1, 1 + STANDING, AMOUNT, "EUR")]


async def _is_found_once(sold: Sold) -> None:
    await _is_handled(sold, "search", CatalogueEvent.topic)
    name = (await sold.platform.http.get(f"/v1/events/{sold.event}")).json()["name"]

    async def hits() -> list[str]:
        answer = await sold.platform.http.get("/v1/search", params={"q": name})
        assert answer.status_code == 200, answer.text
        return [hit["event_id"] for hit in answer.json()["hits"] if hit["event_id"] == sold.event]

    assert await eventually(hits, within=WITHIN) == [sold.event]


async def _is_written_to_with_one_message_id(sold: Sold) -> None:
    await _is_handled(sold, "notification", BookingEvent.topic)
    async with http_client(sold.platform.settings.mail_ui_url) as mailbox:
        mails = await mails_to(mailbox, sold.buyer.email)
    assert len({mail["MessageID"] for mail in mails}) == 1


class Track(NamedTuple):
    """The target of the fault, and the checks afterwards.

    Attributes:
        tells: The domain event whose message is struck.
    """

    kind: str
    names: tuple[str, ...]
    tells: str
    holds: Callable[[Sold], Awaitable[None]]


TRACKS = {
    RELAY: Track("relay", relay.SERVICES, "booking.confirmed", is_told_in_order),
    ANALYTICS: Track("consume", ("analytics",), "booking.confirmed", _is_counted_once),
    SEARCH: Track("consume", ("search",), "event.published", _is_found_once),
    NOTIFICATION: Track("consume", ("notification",), "booking.confirmed", _is_written_to_with_one_message_id),
}


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, stack: Stack, settings: Settings) -> dict[Cell, Outcome]:
    """The results of the selected cells, with no other relay or consumers."""
    ours = test_the_domain_events_of_a_booking_survive.__name__
    items = [item for item in request.session.items if getattr(item, "originalname", "") == ours]
    wanted = [item.callspec.params["cell"] for item in items]  # type: ignore[attr-defined]
    folder = stack.paths.folder / "faults" / uuid4().hex
    folder.mkdir(parents=True)
    for name in ("relay", "consume"):
        stack.stop(name)
    try:
        found = asyncio.run(_strike_all(settings, wanted, folder))
    finally:
        for name in ("relay", "consume"):
            stack.start(name)
    report.write(stack.paths.folder / "proof", "faults-outside", OUTSIDE, found)
    return found


async def _strike_all(settings: Settings, wanted: list[Cell], folder: Path) -> dict[Cell, Outcome]:
    found: dict[Cell, Outcome] = {}
    all_are_done = asyncio.Barrier(len(TRACKS))  # the relay, above all, works for all

    async def follow(effects: tuple[Effect, ...], track: Track) -> None:
        async with Workers(track.kind, settings, track.names, folder) as workers, PlatformClient(settings) as platform:
            for cell in wanted:
                if cell.effect in effects:
                    found[cell] = await outcome(cell, _live_through(workers, platform, track, cell))
                    await workers.settle()
            await all_are_done.wait()

    await asyncio.gather(*(follow(*each) for each in TRACKS.items()))
    return found


async def _live_through(workers: Workers, platform: PlatformClient, track: Track, cell: Cell) -> str:
    buyer = await register(platform)

    def arm(subject: str) -> None:
        workers.plan.arm(Point(cell.effect.step, cell.effect.operation, cell.fault, f"{subject} {track.tells}"))

    if track.tells == "event.published":
        arm("")
    event = await platform.event()
    booking = await hold(buyer, event)
    if track.tells == "booking.confirmed":
        arm(booking)
    answer = await pay(buyer, booking)
    assert answer.status_code == 200, answer.text
    await workers.was_struck(cell.fault)
    await track.holds(Sold(platform, buyer, event, booking))
    return await buyer.status(booking)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_domain_events_of_a_booking_survive(outcomes: dict[Cell, Outcome], cell: Cell) -> None:
    assert outcomes[cell].trouble == ""
