"""The reservation service's steps, on a database and a Redis of the tests' own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reservation.bookings import ReservationActivities
from adapters.redis.hold_quota import UNLIMITED, HoldQuota
from adapters.redis.seat_locks import SeatLocks
from tests.db.conftest import reservation, shared_database, templates
from tests.db.sharing import reservation_url
from tests.own_redis import redis, redis_url

WINDOW = timedelta(minutes=10)

__all__ = [
    "WINDOW",
    "redis",
    "redis_url",
    "reservation",
    "reservation_url",
    "shared_database",
    "templates",
]


@pytest.fixture
def steps(reservation: AsyncEngine, redis: Redis) -> ReservationActivities:
    return ReservationActivities(reservation, SeatLocks(redis), HoldQuota(redis, UNLIMITED), WINDOW)
