"""Events from before there were time zones get the zone of their place, in the catalogue and in its copies."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.databases import migrate
from db.reservation import inventory
from domain.catalogue import Event
from tests.db.booking_steps import an_event
from tests.db.old_databases import migrate_to, plain
from tests.workers.conftest import _Databases

_PLACES = {(41.067, 29.017): "Europe/Istanbul", (52.09, 5.12): "Europe/Amsterdam", (0.0, -150.0): "Etc/GMT+10"}
_OLD = """
INSERT INTO events (organizer_id, name, category, venue_name, venue_city, venue_country, venue_latitude,
    venue_longitude, starts_at, currency, hold_seconds)
VALUES (%s, 'Old', 'test', 'Hall', 'Town', 'XX', %s, %s, now(), 'EUR', 600)
"""


@pytest.fixture
def old_catalogue(databases: _Databases) -> str:
    """A catalogue as the first migration makes it."""
    url = databases.make()
    migrate_to("0001", "catalogue", url)
    return url


def test_the_migration_gives_each_old_event_the_zone_of_its_place(old_catalogue: str) -> None:
    with psycopg.connect(plain(old_catalogue), autocommit=True) as connection:
        for latitude, longitude in [*_PLACES, *_PLACES]:
            connection.execute(_OLD, [uuid4(), latitude, longitude])
        migrate("catalogue", old_catalogue)
        rows = connection.execute("SELECT venue_latitude, venue_longitude, timezone FROM events").fetchall()
        connection.execute(_OLD, [uuid4(), 41.067, 29.017])  # as a version that still runs does
        late = connection.execute("SELECT count(*) FROM events WHERE timezone = 'UTC'").fetchone()
    assert late == (1,)
    assert len(rows) == 2 * len(_PLACES)
    assert {(latitude, longitude): zone for latitude, longitude, zone in rows} == _PLACES


async def test_an_old_copy_gets_its_venue_and_zone_and_keeps_its_status(reservation: AsyncEngine) -> None:
    event = an_event()
    async with reservation.begin() as connection:
        await inventory.put_on_sale(connection, event)
        await inventory.stop_selling(connection, event)
        await connection.execute(text("UPDATE events SET timezone = NULL, venue_name = NULL, venue_city = NULL"))
        assert await inventory.without_venue(connection) == [event.id]
        await inventory.copy_venue(connection, event)
        assert await inventory.without_venue(connection) == []
        found = await connection.execute(text("SELECT status, timezone, venue_name, venue_city FROM events"))
    assert found.one() == ("cancelled", "Europe/London", "Globe", "London")


def test_an_event_that_is_recorded_without_a_zone_has_that_of_its_place() -> None:
    recorded = an_event().model_dump(mode="json", exclude={"timezone"})
    assert Event.model_validate(recorded).timezone == "Europe/London"
