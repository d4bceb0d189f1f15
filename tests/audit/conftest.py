"""Ways to break each guard on a private event, and to see what the audit says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from audit.run import audit
from config.settings import Settings, secret
from stack import Stack
from tests.audit.charges import Charges
from tests.own_redis import own_redis


class Auditor:
    """Audits one event, with a Redis in which nothing is but what the test puts there."""

    def __init__(self, settings: Settings, redis_url: str) -> None:
        self._settings = settings.model_copy(update={"redis_url": SecretStr(redis_url)})

    async def finds(self, event: str) -> set[tuple[str, str, str]]:
        return {(*finding,) for finding in await audit(self._settings, UUID(event))}

    async def invariants_and_subjects(self, event: str) -> set[tuple[str, str]]:
        return {(invariant, subject) for invariant, subject, _ in await self.finds(event)}


@pytest.fixture(scope="module")
def redis_url(stack: Stack) -> Iterator[str]:
    with own_redis(stack, "audit") as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url, decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture
def auditor(settings: Settings, redis_url: str) -> Auditor:
    return Auditor(settings, redis_url)


@pytest.fixture
def reservation(settings: Settings) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the reservation database, for which no trigger fires."""
    yield from _unguarded(settings, "seatwright_reservation")


@pytest.fixture
def payment(settings: Settings) -> Iterator[psycopg.Connection]:
    """The same to the payment database."""
    yield from _unguarded(settings, "seatwright_payment")


def _unguarded(settings: Settings, database: str) -> Iterator[psycopg.Connection]:
    dsn = secret(settings.postgres_admin_dsn)
    with psycopg.connect(dsn, dbname=database, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


@pytest.fixture
async def charges(settings: Settings) -> AsyncIterator[Charges]:
    async with Charges(settings) as opened:
        yield opened
