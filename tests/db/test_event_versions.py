"""A change of an event that names a version changes no other version, however often it is tried."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.catalogue import events
from db.engine import open_engine
from domain.catalogue import EventChange, EventPlan, EventStatus
from tests.db.booking_steps import an_event
from tests.workers.conftest import ServiceDatabase

DRAFT, PUBLISHED, CANCELLED = EventStatus
Mark = Callable[[AsyncConnection, EventChange], Awaitable[EventStatus]]


@pytest.fixture
async def catalogue(shared_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(shared_database("catalogue"), serves_callers=False)
    yield engine
    await engine.dispose()


async def drafted(engine: AsyncEngine, *marks: Mark) -> UUID:
    """A draft, changed so far."""
    event = an_event()
    plan = EventPlan.model_validate(event.model_dump(include=set(EventPlan.model_fields)))
    async with engine.begin() as connection:
        await events.draft(connection, event.id, uuid4(), plan)
        for mark in marks:
            await mark(connection, EventChange(event_id=event.id))
    return event.id


async def found(engine: AsyncEngine, event: UUID) -> tuple[EventStatus, int, list[str]]:
    """The status, the version, and the types of the domain events."""
    types = text("SELECT type FROM domain_events WHERE aggregate_id = :id ORDER BY sequence")
    async with engine.connect() as connection:
        row = await events.find(connection, event)
        told = list((await connection.execute(types, {"id": event})).scalars())
    assert row
    return row.status, row.version, told


class Case(NamedTuple):
    """What was done before, the change, the version that it names, and the status and version afterwards."""

    before: tuple[Mark, ...]
    change: Mark
    if_version: int | None
    status: EventStatus
    version: int


publish, cancel = events.mark_published, events.mark_cancelled
CASES = {
    "publish any draft": Case((), publish, None, PUBLISHED, 2),
    "publish the draft that was read": Case((), publish, 1, PUBLISHED, 2),
    "publish another version": Case((), publish, 2, DRAFT, 1),
    "publish what is published": Case((publish,), publish, 1, PUBLISHED, 2),
    "publish what is cancelled": Case((cancel,), publish, 1, CANCELLED, 2),
    "cancel any draft": Case((), cancel, None, CANCELLED, 2),
    "cancel the draft that was read": Case((), cancel, 1, CANCELLED, 2),
    "cancel the draft after its publication": Case((publish,), cancel, 1, PUBLISHED, 2),
    "cancel what is published": Case((publish,), cancel, 2, CANCELLED, 3),
    "cancel any published event": Case((publish,), cancel, None, CANCELLED, 3),
    "cancel a version to come": Case((publish,), cancel, 3, PUBLISHED, 2),
    "cancel what is cancelled": Case((publish, cancel), cancel, 2, CANCELLED, 3),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_a_change_that_names_a_version_changes_no_other_version(catalogue: AsyncEngine, case: Case) -> None:
    event = await drafted(catalogue, *case.before)
    change = EventChange(event_id=event, if_version=case.if_version)
    for _ in range(2):  # the answer of the first try is lost
        async with catalogue.begin() as connection:
            assert await case.change(connection, change) is case.status
        status, version, told = await found(catalogue, event)
        assert (status, version) == (case.status, case.version)
        assert len(told) == case.version - 1


def test_the_id_alone_is_a_change_of_any_version() -> None:
    event = uuid4()
    sent = TypeAdapter(EventChange).validate_json(f'"{event}"')
    assert sent == EventChange(event_id=event)
