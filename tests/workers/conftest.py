"""Throwaway databases, topics and indices on the running stack, so that tests do not affect each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache, partial
from time import sleep
from typing import Protocol
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.elasticsearch import EventSearch
from adapters.kafka.client import Publisher, dead_letters
from db.engine import open_engine
from db.migration_helpers import OUTBOX_DDL
from tests.db.templates import template

MakeDatabase = Callable[[str], str]
ServiceDatabase = Callable[[str], str]


_PARTITIONS = 6


class MakeTopic(Protocol):
    def __call__(self, name: str, config: dict[str, str] | None = None) -> str: ...


@pytest.fixture(scope="session")
def bootstrap(stack_env: dict[str, str]) -> str:
    return stack_env["SEATWRIGHT_KAFKA_BOOTSTRAP"]


class _Databases:
    """Throwaway databases; `close` drops them."""

    def __init__(self, admin_dsn: str) -> None:
        self._admin_dsn = admin_dsn
        self._made: list[str] = []

    def make(self, template: str = "template1") -> str:
        """A new database's SQLAlchemy URL."""
        self._made.append(f"test_{uuid4().hex}")
        with psycopg.connect(self._admin_dsn, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{self._made[-1]}" TEMPLATE "{template}"')
        url = make_url(self._admin_dsn).set(drivername="postgresql+psycopg", database=self._made[-1])
        return url.render_as_string(hide_password=False)

    def close(self) -> None:
        with psycopg.connect(self._admin_dsn, autocommit=True) as admin:
            for name in self._made:
                admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def databases(stack_env: dict[str, str]) -> Iterator[_Databases]:
    made = _Databases(stack_env["SEATWRIGHT_POSTGRES_ADMIN_DSN"])
    yield made
    made.close()


@pytest.fixture(scope="session")
def templates(stack_env: dict[str, str]) -> Callable[[str], str]:
    """A migrated database of each service, made once, to be copied."""
    return cache(partial(template, stack_env["SEATWRIGHT_POSTGRES_ADMIN_DSN"]))


@pytest.fixture
def database(databases: _Databases) -> MakeDatabase:
    """Makes databases from DDL, and returns their SQLAlchemy URLs."""

    def make(ddl: str) -> str:
        url = databases.make()
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain) as connection:
            connection.execute(ddl)
        return url

    return make


@pytest.fixture
def service_database(databases: _Databases, templates: Callable[[str], str]) -> ServiceDatabase:
    """Makes a service's database with all its tables and no rows, and returns its SQLAlchemy URL."""
    return lambda service: databases.make(templates(service))


@pytest.fixture
def outbox_url(database: MakeDatabase) -> str:
    """A database with an outbox and nothing else."""
    return database(OUTBOX_DDL)


@pytest.fixture
async def analytics(service_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    """An empty analytics database."""
    engine = open_engine(service_database("analytics"), serves_callers=False)
    yield engine
    await engine.dispose()


@pytest.fixture
def new_topic(bootstrap: str) -> Iterator[MakeTopic]:
    """Makes topics of six partitions; they are deleted when the test ends."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    made: list[str] = []

    def make(name: str, config: dict[str, str] | None = None) -> str:
        made.append(name)
        for created in admin.create_topics([NewTopic(name, num_partitions=_PARTITIONS, config=config or {})]).values():
            created.result(timeout=120)
        while len(admin.list_topics(name, timeout=120).topics[name].partitions) < _PARTITIONS:
            sleep(0.05)  # a consumer that does not find it yet looks again only minutes later
        return name

    yield make
    for deleted in admin.delete_topics(made).values() if made else ():
        deleted.result(timeout=120)


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
    """Set it to stop the relay or the consumer."""
    return asyncio.Event()


@pytest.fixture
async def events(stack_env: dict[str, str]) -> AsyncIterator[EventSearch]:
    """An empty search index."""
    alias = f"test-{uuid4().hex}"
    search = EventSearch(stack_env["SEATWRIGHT_ELASTICSEARCH_URL"], alias)
    search._client = search._slow  # on a busy machine an answer may take longer than callers wait
    await search.ensure_index()
    yield search
    await search._client.indices.delete(index=search.index)
    await search.close()
