"""A private Redis, and an event in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from adapters.redis.seat_locks import SeatLocks
from stack import Stack
from tests.adapters.seats.places import NOTHING, STARTS
from tests.own_redis import own_redis


@pytest.fixture(scope="module")
def redis_url(stack: Stack) -> Iterator[str]:
    with own_redis(stack, "locks") as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_pool(BlockingConnectionPool.from_url(redis_url, max_connections=50))
    yield client
    await client.aclose()


@pytest.fixture
def locks(redis: Redis) -> SeatLocks:
    return SeatLocks(redis)


@pytest.fixture
async def event(locks: SeatLocks) -> UUID:
    """An event that is loaded, with all places free."""
    event_id = uuid4()
    assert await locks.load(event_id, "", NOTHING, STARTS)
    return event_id
