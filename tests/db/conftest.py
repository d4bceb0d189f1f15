"""A reservation database of the test's own, with its tables and rules and no other test's bookings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import open_engine
from tests.workers.conftest import ServiceDatabase, databases, service_database, templates

__all__ = ["databases", "service_database", "templates"]


@pytest.fixture
def reservation_url(service_database: ServiceDatabase) -> str:
    return service_database("reservation")


@pytest.fixture
async def reservation(reservation_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(reservation_url, serves_callers=False)
    yield engine
    await engine.dispose()


@pytest.fixture
def by_hand(reservation_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection to that database, in autocommit."""
    url = make_url(reservation_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
