"""Databases of the test's own, with their tables and rules and no other test's rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import open_engine
from tests.db.old_databases import plain
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
    with psycopg.connect(plain(reservation_url), autocommit=True) as connection:
        yield connection


@pytest.fixture
def identity_url(service_database: ServiceDatabase) -> str:
    return service_database("identity")


@pytest.fixture
async def identity(identity_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(identity_url, serves_callers=False)
    yield engine
    await engine.dispose()


@pytest.fixture
def identity_by_hand(identity_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection to that database, in autocommit."""
    with psycopg.connect(plain(identity_url), autocommit=True) as connection:
        yield connection
