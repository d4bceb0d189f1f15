"""A reservation database of the test's own, with its tables and rules and nobody else's bookings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib import import_module

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import open_engine
from db.migration_helpers import OUTBOX_DDL
from tests.workers.conftest import MakeDatabase, database

__all__ = ["database"]


@pytest.fixture
def reservation_url(database: MakeDatabase) -> str:
    tables, refunds = (
        import_module(f"db.reservation.migrations.versions.{name}") for name in ("0001_reservation", "0002_refunds")
    )
    return database(tables.DDL + OUTBOX_DDL + refunds.DDL)


@pytest.fixture
async def reservation(reservation_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(reservation_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def by_hand(reservation_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection to that database, in autocommit."""
    url = make_url(reservation_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
