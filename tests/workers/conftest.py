"""Throwaway databases, topics and indices on the running stack, so that tests disturb nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Protocol
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.elasticsearch import EventSearch
from adapters.kafka import Publisher, dead_letters
from db.engine import open_engine
from db.migration_helpers import OUTBOX_DDL

MakeDatabase = Callable[[str], str]


class MakeTopic(Protocol):
    def __call__(self, name: str, config: dict[str, str] | None = None) -> str: ...


@pytest.fixture(scope="session")
def bootstrap(stack_env: dict[str, str]) -> str:
    return stack_env["SEATWRIGHT_KAFKA_BOOTSTRAP"]


@pytest.fixture
def database(stack_env: dict[str, str]) -> Iterator[MakeDatabase]:
    """Makes databases from DDL, and answers their SQLAlchemy URLs."""
    admin_dsn = stack_env["SEATWRIGHT_POSTGRES_ADMIN_DSN"]
    made: list[str] = []

    def make(ddl: str) -> str:
        made.append(f"test_{uuid4().hex}")
        with psycopg.connect(admin_dsn, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{made[-1]}"')
        url = make_url(admin_dsn).set(drivername="postgresql", database=made[-1])
        with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
            connection.execute(ddl)
        return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)

    yield make
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        for name in made:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def outbox_url(database: MakeDatabase) -> str:
    """A database with an outbox and nothing else."""
    return database(OUTBOX_DDL)


@pytest.fixture
async def analytics(database: MakeDatabase) -> AsyncIterator[AsyncEngine]:
    """An empty analytics database."""
    tables, refunds = (
        import_module(f"db.analytics.migrations.versions.{name}") for name in ("0001_analytics", "0002_refunds")
    )
    engine = open_engine(database(tables.DDL + refunds.DDL))
    yield engine
    await engine.dispose()


@pytest.fixture
def new_topic(bootstrap: str) -> Iterator[MakeTopic]:
    """Makes topics of six partitions; they are deleted when the test ends."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made: list[str] = []

    def make(name: str, config: dict[str, str] | None = None) -> str:
        made.append(name)
        for created in admin.create_topics([NewTopic(name, num_partitions=6, config=config or {})]).values():
            created.result(timeout=20)
        return name

    yield make
    for deleted in admin.delete_topics(made).values() if made else ():
        deleted.result(timeout=20)


@pytest.fixture
def topic(new_topic: MakeTopic) -> str:
    return new_topic(f"test.{uuid4().hex}")


@pytest.fixture
def group(new_topic: MakeTopic) -> str:
    """The name of a new consumer group, whose dead-letter topic exists."""
    name = f"test.{uuid4().hex}"
    new_topic(dead_letters(name))
    return name


@pytest.fixture
async def publisher(bootstrap: str) -> AsyncIterator[Publisher]:
    async with Publisher(bootstrap, "test") as opened:
        yield opened


@pytest.fixture
def stop() -> asyncio.Event:
    """Set it to stop what runs."""
    return asyncio.Event()


@pytest.fixture
async def events(stack_env: dict[str, str]) -> AsyncIterator[EventSearch]:
    """An empty search index."""
    alias = f"test-{uuid4().hex}"
    search = EventSearch(stack_env["SEATWRIGHT_ELASTICSEARCH_URL"], alias)
    await search.ensure_index()
    yield search
    await search._client.indices.delete(index=f"{alias}-v1")
    await search.close()
