"""`migrate` completes the copies of events one by one: no hold and no payment of another event waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from cli.copies import copy_venues, set_amount_steps
from db.catalogue import events
from db.engine import open_engine
from db.reservation import inventory
from db.reservation.offers import find_sale
from db.reservation.tables import EventRow
from domain.catalogue import Event, EventPlan
from tests.db.booking_steps import an_event
from tests.db.old_databases import plain
from tests.db.rush import rush
from tests.waiting import eventually, in_time
from tests.workers.conftest import ServiceDatabase

_WITHOUT = "UPDATE events SET timezone = NULL, venue_name = NULL, venue_city = NULL, venue_country = NULL"
_NAMED = "SELECT id FROM events WHERE timezone = 'Europe/London' AND venue_name = 'Globe'"


@pytest.fixture
async def catalogue(service_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(service_database("catalogue"), serves_callers=False)
    yield engine
    await engine.dispose()


async def copied(catalogue: AsyncEngine, reservation: AsyncEngine, number: int) -> Sequence[Event]:
    """Events of the catalogue with a copy, by id."""
    made = sorted((an_event() for _ in range(number)), key=lambda event: event.id)
    async with catalogue.begin() as originals, reservation.begin() as copies:
        for event in made:
            await events.draft(originals, event.id, event.organizer_id, EventPlan.model_validate(event.model_dump()))
            await inventory.put_on_sale(copies, event)
    return made


async def rows(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(query))).all())


async def test_an_event_that_is_copied_waits_for_no_other_and_an_interrupted_copy_goes_on(
    catalogue: AsyncEngine, reservation: AsyncEngine, reservation_url: str, by_hand: psycopg.Connection
) -> None:
    made = await copied(catalogue, reservation, 3)
    by_hand.execute(_WITHOUT)
    with psycopg.connect(plain(reservation_url)) as holding:
        holding.execute("SELECT FROM events WHERE id = %s FOR SHARE", [made[-1].id])  # as each hold does
        copying = asyncio.create_task(copy_venues(reservation, catalogue))
        await eventually(lambda: len(by_hand.execute(_NAMED).fetchall()) == 2)
        by_hand.execute("SELECT FROM events WHERE id = ANY(%s) FOR SHARE NOWAIT", [[each.id for each in made[:2]]])
        copying.cancel()
        await asyncio.gather(copying, return_exceptions=True)
    await in_time(copy_venues(reservation, catalogue))
    assert len(by_hand.execute(_NAMED).fetchall()) == 3


async def test_an_event_that_is_not_free_in_time_is_named_and_delays_no_other(
    catalogue: AsyncEngine, reservation: AsyncEngine, reservation_url: str, by_hand: psycopg.Connection
) -> None:
    made = await copied(catalogue, reservation, 3)
    by_hand.execute(_WITHOUT)
    by_hand.execute("UPDATE events SET currency = 'KWD'")
    with psycopg.connect(plain(reservation_url)) as holding:  # as the sales of version 0.1.0 do in a rush
        holding.execute("SELECT FROM events WHERE id = %s FOR SHARE", [made[0].id])
        assert await copy_venues(reservation, catalogue) == {made[0].id}
        assert await set_amount_steps(reservation) == {made[0].id}
    assert len(by_hand.execute(_NAMED).fetchall()) == 2
    assert not await copy_venues(reservation, catalogue) | await set_amount_steps(reservation)
    assert len(by_hand.execute(_NAMED).fetchall()) == 3


async def test_a_rush_of_an_event_does_not_put_off_the_completion_of_its_copy(
    catalogue: AsyncEngine, reservation: AsyncEngine, reservation_url: str, by_hand: psycopg.Connection
) -> None:
    [event] = await copied(catalogue, reservation, 1)
    by_hand.execute(_WITHOUT)
    by_hand.execute("UPDATE events SET currency = 'KWD'")
    async with rush(reservation_url, [lambda connection: find_sale(connection, event.id, lock=True)] * 10):
        await in_time(copy_venues(reservation, catalogue), within=4)
        await in_time(set_amount_steps(reservation), within=4)
    assert await rows(reservation, "SELECT timezone, amount_step FROM events") == [("Europe/London", 10)]


async def test_a_copy_without_its_providers_step_gets_it_and_others_keep_theirs(
    catalogue: AsyncEngine, reservation: AsyncEngine
) -> None:
    made = await copied(catalogue, reservation, 4)
    currencies = dict(zip((each.id for each in made), ("KWD", "MGA", "EUR", "JOD"), strict=True))
    async with reservation.begin() as connection:  # as version 0.1.0 puts them on sale, after the migration
        for event_id, currency in currencies.items():
            await connection.execute(update(EventRow).where(EventRow.id == event_id).values(currency=currency))
        await inventory.set_amount_step(connection, made[3].id, 20)
    for _ in range(2):
        await set_amount_steps(reservation)
    steps = dict(map(tuple, await rows(reservation, "SELECT currency, amount_step FROM events")))
    assert steps == {"KWD": 10, "MGA": 100, "EUR": 1, "JOD": 20}
