"""The events of an organizer that have not begun, or are new, have few enough places, also if drafted at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
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
    """A draft, or None if it is refused."""
    event = an_event()
    plan = EventPlan.model_validate(event.model_dump(include=set(EventPlan.model_fields)))
    try:
        async with engine.begin() as connection:
            await events.draft(connection, event.id, organizer, plan, most_places=most)
            await asyncio.sleep(0)
    except Refused:
        return None
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
