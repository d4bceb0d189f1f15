"""What happened is never rewritten: not by the application, and not by the tables' owner."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, RestrictViolation
from sqlalchemy import make_url

from config.settings import Service, Settings

SERVICES: tuple[Service, ...] = ("identity", "catalogue", "reservation", "payment")
CHANGES = ("UPDATE domain_events SET type = 'x'", "DELETE FROM domain_events", "TRUNCATE domain_events")


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> Service:
    chosen: Service = request.param
    return chosen


@pytest.fixture
def application(settings: Settings, service: Service) -> Iterator[psycopg.Connection]:
    yield from connected(settings.database_url(service))


@pytest.fixture
def owner(settings: Settings, service: Service) -> Iterator[psycopg.Connection]:
    yield from connected(settings.database_url(service, owner=True))


def connected(url: str) -> Iterator[psycopg.Connection]:
    """In a transaction that is rolled back, should a change get through after all."""
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(False)) as connection:
        connection.execute("SET lock_timeout = '10s'")
        yield connection
        connection.rollback()


@pytest.mark.parametrize("change", CHANGES)
def test_the_application_may_not_change_history(application: psycopg.Connection, change: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        application.execute(change)


@pytest.mark.parametrize("change", CHANGES)
def test_not_even_the_owner_changes_history(owner: psycopg.Connection, change: str) -> None:
    with pytest.raises(RestrictViolation, match="append-only"):
        owner.execute(change)


def test_the_application_may_neither_drop_the_guard_nor_switch_it_off(application: psycopg.Connection) -> None:
    for trick in (
        "DROP TRIGGER domain_events_are_append_only ON domain_events",
        "ALTER TABLE domain_events DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    ):
        with pytest.raises(InsufficientPrivilege), application.transaction():
            application.execute(trick)
