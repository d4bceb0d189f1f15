"""The reservation service's steps, on a database and a Redis of the tests' own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reservation.bookings import ReservationActivities
from adapters.redis.hold_quota import UNLIMITED, HoldQuota
from adapters.redis.seat_locks import SeatLocks
from stack import Stack
from tests.db.conftest import databases, reservation, reservation_url, service_database, templates
from tests.own_redis import own_redis

WINDOW = timedelta(minutes=10)

__all__ = ["WINDOW", "databases", "reservation", "reservation_url", "service_database", "templates"]


@pytest.fixture(scope="module")
def redis_url(stack: Stack) -> Iterator[str]:
    with own_redis(stack, "steps") as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_pool(BlockingConnectionPool.from_url(redis_url, max_connections=50))
    yield client
    await client.aclose()


@pytest.fixture
def steps(reservation: AsyncEngine, redis: Redis) -> ReservationActivities:
    return ReservationActivities(reservation, SeatLocks(redis), HoldQuota(redis, UNLIMITED), WINDOW)
