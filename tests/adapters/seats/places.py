"""The places that bookings request, and what Redis has of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from redis.asyncio import Redis

from adapters.redis.seat_locks import Claims, Places, keys_end, seat_key

MINUTE = timedelta(minutes=1)
CAPACITY = {"Standing": 10, "Garden": 4}
NOTHING = Claims(CAPACITY, (), ())
STARTS = datetime.now(UTC) + timedelta(days=30)


def wants(event: UUID, *seats: str, booking: UUID | None = None, **quantities: int) -> Places:
    return Places(event, booking or uuid4(), seats, quantities)


async def ends_in(redis: Redis, places: Places, seat: str) -> int:
    """Milliseconds until the seat is free again: -1 for never, -2 if it is free."""
    return int(await redis.pttl(seat_key(places.event_id, seat)))


async def is_sold(redis: Redis, places: Places, seat: str) -> bool:
    """Whether the seat is kept until its event is over."""
    return bool(await redis.pexpiretime(seat_key(places.event_id, seat)) == keys_end(STARTS))


async def ends_of_keys(redis: Redis, event: UUID) -> dict[str, int]:
    """When each key of an event ends, in ms since the epoch; -1 for never."""
    found = [key async for key in redis.scan_iter(f"seatwright:{{{event}}}:*")]
    return {key.decode().partition("}:")[2]: int(await redis.pexpiretime(key)) for key in found}


async def count(redis: Redis, event: UUID, section: str) -> tuple[int, int]:
    """A section's counter, and the sum of its bookings' places."""
    prefix = f"seatwright:{{{event}}}:general:{section}"
    held: dict[Any, Any] = await redis.hgetall(f"{prefix}:places")
    return int(await redis.get(f"{prefix}:count") or 0), sum(map(int, held.values()))


async def forget(redis: Redis, event: UUID) -> None:
    """Do to one event what FLUSHALL does to all."""
    keys = [key async for key in redis.scan_iter(f"seatwright:{{{event}}}:*")]
    await redis.delete(*keys)
