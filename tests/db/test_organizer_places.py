"""The events of an organizer that have not begun, or are new, have few enough places, also if drafted at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from psycopg.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.catalogue import events
from db.engine import open_engine
from domain.catalogue import EventChange, EventPlan
from domain.problems import Refused
from tests.db.booking_steps import an_event
from tests.workers.conftest import ServiceDatabase

PLACES = 30
"""Of each event."""

_BEGIN = """
    UPDATE events SET starts_at = now() - interval '1 hour' WHERE organizer_id = :organizer AND id <> :cancelled
"""
_AGE = "UPDATE events SET created_at = created_at - interval '30 days' WHERE organizer_id = :organizer"


@pytest.fixture
async def catalogue(shared_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(shared_database("catalogue"), serves_callers=False)
    yield engine
    await engine.dispose()


async def drafted(engine: AsyncEngine, organizer: UUID, *, most: int = 3 * PLACES) -> UUID | None:
    """A draft, or None if it is refused; where others are under way, it is tried again."""
    event = an_event()
    plan = EventPlan.model_validate(event.model_dump(include=set(EventPlan.model_fields)))
    while True:
        try:
            async with engine.begin() as connection:
                await events.draft(connection, event.id, organizer, plan, most_places=most)
                await asyncio.sleep(0)
        except Refused:
            return None
        except OperationalError:
            continue
        else:
            return event.id


async def test_drafts_at_the_same_time_do_not_exceed_the_places_of_their_organizer(catalogue: AsyncEngine) -> None:
    organizer, other = uuid4(), uuid4()
    made = await asyncio.gather(*(drafted(catalogue, each) for _ in range(6) for each in (organizer, other)))
    assert [sum(event is not None for event in made[start::2]) for start in (0, 1)] == [3, 3]


async def test_an_old_event_that_has_begun_counts_no_more_and_a_cancelled_one_does(catalogue: AsyncEngine) -> None:
    organizer = uuid4()
    cancelled, *_ = [await drafted(catalogue, organizer) for _ in range(3)]
    assert cancelled
    async with catalogue.begin() as connection:
        await events.mark_published(connection, EventChange(event_id=cancelled))
        await events.mark_cancelled(connection, EventChange(event_id=cancelled))
    assert await drafted(catalogue, organizer) is None
    assert await drafted(catalogue, organizer, most=0)
    async with catalogue.begin() as connection:
        await connection.execute(text(_BEGIN), {"organizer": organizer, "cancelled": cancelled})
    assert await drafted(catalogue, organizer) is None, "else new events could begin a minute after their drafts"
    async with catalogue.begin() as connection:
        await connection.execute(text(_AGE), {"organizer": organizer})
    assert [await drafted(catalogue, organizer) is not None for _ in range(3)] == [True, True, False]


async def test_a_draft_waits_only_briefly_for_another_of_its_organizer(catalogue: AsyncEngine) -> None:
    """A connection that waits is missed by those who look at events."""
    organizer, event = uuid4(), an_event()
    plan = EventPlan.model_validate(event.model_dump(include=set(EventPlan.model_fields)))
    async with catalogue.begin() as first:
        await events.draft(first, event.id, organizer, plan, most_places=3 * PLACES)
        with pytest.raises(OperationalError) as refused:
            async with asyncio.timeout(3), catalogue.begin() as second:
                await events.draft(second, uuid4(), organizer, plan, most_places=3 * PLACES)
        assert isinstance(refused.value.orig, LockNotAvailable)


async def test_the_events_of_an_organizer_have_only_so_many_sections(catalogue: AsyncEngine) -> None:
    """The limit of places would not bound the rows that each draft counts."""
    organizer = uuid4()
    event = await drafted(catalogue, organizer, most=10**6)
    own = len(an_event().sections)
    sections = """
        INSERT INTO sections (event_id, name, position, kind, price, capacity)
        SELECT :event, 'part ' || n, n, 'general', 100, 1 FROM generate_series(:own + 1, :most) n
    """
    async with catalogue.begin() as connection:
        values = {"event": event, "own": own, "most": events.MOST_SECTIONS - own}
        await connection.execute(text(sections), values)
    assert [await drafted(catalogue, organizer, most=10**6) is not None for _ in range(2)] == [True, False]
