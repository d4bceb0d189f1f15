"""Databases of the test's own, with their tables and rules and no other test's rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import open_engine
from tests.db.old_databases import plain
from tests.workers.conftest import ServiceDatabase, _Databases, databases, service_database, templates

__all__ = ["databases", "service_database", "shared_database", "templates"]


@pytest.fixture(scope="module")
def shared_database(stack_env: dict[str, str], templates: Callable[[str], str]) -> Iterator[ServiceDatabase]:
    """As `service_database`, but the module's tests share what they get: for tests that look at their own rows only.

    To copy and drop a database costs more than most of them do.
    """
    made = _Databases(stack_env["SEATWRIGHT_POSTGRES_ADMIN_DSN"])
    yield cache(lambda service: made.make(templates(service)))
    made.close()


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
