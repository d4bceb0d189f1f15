"""What scenarios share: a worker that acts beside those of the stack."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from activities.reservation.bookings import ReservationActivities
from adapters.redis.hold_quota import UNLIMITED, HoldQuota
from adapters.redis.seat_locks import SeatLocks
from config.settings import Settings, secret
from db.engine import open_engine

WINDOW = timedelta(minutes=1)


@pytest.fixture
async def left_behind(settings: Settings) -> AsyncIterator[ReservationActivities]:
    """A worker that Temporal has given up."""
    engine = open_engine(settings.database_url("reservation"), pool_size=2, serves_callers=False)
    async with Redis.from_url(secret(settings.redis_url)) as redis:
        yield ReservationActivities(engine, SeatLocks(redis), HoldQuota(redis, UNLIMITED), WINDOW)
    await engine.dispose()
