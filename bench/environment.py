"""The environment of a benchmark: a fresh stack of its own, and events with enough seats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from rich.console import Console

from activities.reservation.inventory import InventoryActivities
from bench.progress import say
from config.settings import Settings
from db.engine import open_engine
from domain.catalogue import Event, EventStatus, Section
from domain.domain_events import Venue
from stack import Stack

NAME = "bench"
HOLD_SECONDS = 600
SEATS_PER_ROW = 100
SEATS_A_BOOKING = 2


@contextmanager
def fresh_stack(
    *names: str, name: str = NAME, watched: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """Start the named processes with their dependencies, or everything, on empty databases.

    Afterwards the stack is deleted; on failure its data and logs stay.
    """
    stack = Stack(name, ports="free", console=Console(quiet=True))
    say(f"a fresh stack {name!r}")
    stack.clean()
    try:
        stack.up(*names, watched=watched, settings=settings)
        yield stack
    except BaseException:
        stack.down()
        raise
    stack.clean()


def settings_of(stack: Stack) -> Settings:
    """The settings of the stack's processes."""
    return Settings.from_variables(stack.env)


def pids(stack: Stack, *names: str) -> Mapping[str, int]:
    """The process ids of running processes, by name.

    Raises:
        RuntimeError: One of them has died.
    """
    found = {name: stack.pid(name) for name in names}
    if dead := [name for name, pid in found.items() if pid is None]:
        raise RuntimeError(f"not running: {', '.join(dead)}")
    return {name: pid for name, pid in found.items() if pid is not None}


async def put_on_sale(settings: Settings, seats: int) -> UUID:
    """Create an event with this number of seats in the reservation service, as publishing does."""
    event = Event(
        id=uuid4(),
        organizer_id=uuid4(),
        name=f"{seats} seats",
        category="bench",
        venue=Venue(name="Hall", city="Utrecht", country="NL", latitude=52.09, longitude=5.12),
        starts_at=datetime.now(UTC) + timedelta(days=30),
        currency="EUR",
        hold_seconds=HOLD_SECONDS,
        sections=(seated(seats),),
        status=EventStatus.DRAFT,
        version=1,
        was_published=False,
    )
    engine = open_engine(settings.database_url("reservation"), pool_size=2)
    try:
        await InventoryActivities(engine).put_on_sale(event)
    finally:
        await engine.dispose()
    return event.id


def seated(seats: int) -> Section:
    """The one section `A` of the bench's events."""
    rows, rest = divmod(seats, SEATS_PER_ROW)
    if rest:
        raise ValueError(f"{seats} seats are not a multiple of {SEATS_PER_ROW}, the seats of a row")
    return Section(name="A", kind="seated", price=5000, capacity=seats, rows=rows, seats_per_row=SEATS_PER_ROW)


def neighbours(seats: int) -> Iterator[Sequence[str]]:
    """The pairs of adjacent seats of such an event, each seat once."""
    for first in range(0, seats, SEATS_A_BOOKING):
        row, number = divmod(first, SEATS_PER_ROW)
        yield [f"A-{row + 1}-{number + 1 + offset}" for offset in range(SEATS_A_BOOKING)]
