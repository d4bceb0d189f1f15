"""A private Redis, and an event in it."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from adapters.redis.seat_locks import SeatLocks
from tests.adapters.seats.places import NOTHING, STARTS


@pytest.fixture
def locks(redis: Redis) -> SeatLocks:
    return SeatLocks(redis)


@pytest.fixture
async def event(locks: SeatLocks) -> UUID:
    """An event that is loaded, with all places free."""
    event_id = uuid4()
    assert await locks.load(event_id, "", NOTHING, STARTS)
    return event_id
