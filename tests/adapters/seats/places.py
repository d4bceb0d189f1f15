"""The places that bookings request, and what Redis has of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from redis.asyncio import Redis

from adapters.redis.seat_locks import Claims, Places

MINUTE = timedelta(minutes=1)
CAPACITY = {"Standing": 10, "Garden": 4}
NOTHING = Claims(CAPACITY, (), ())


def wants(event: UUID, *seats: str, booking: UUID | None = None, **quantities: int) -> Places:
    return Places(event, booking or uuid4(), seats, quantities)


async def ends_in(redis: Redis, places: Places, seat: str) -> int:
    """Milliseconds until the seat is free again: -1 for never, -2 if it is free."""
    return int(await redis.pttl(f"seatwright:{{{places.event_id}}}:seat:{seat}"))


async def count(redis: Redis, event: UUID, section: str) -> tuple[int, int]:
    """A section's counter, and the sum of its bookings' places."""
    prefix = f"seatwright:{{{event}}}:general:{section}"
    held: dict[Any, Any] = await redis.hgetall(f"{prefix}:places")
    return int(await redis.get(f"{prefix}:count") or 0), sum(map(int, held.values()))


async def forget(redis: Redis, event: UUID) -> None:
    """Do to one event what FLUSHALL does to all."""
    keys = [key async for key in redis.scan_iter(f"seatwright:{{{event}}}:*")]
    await redis.delete(*keys)
