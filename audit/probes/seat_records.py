"""Reads from Redis all that it keeps about seats: the keys that `adapters.redis.seat_locks` writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple
from uuid import UUID

from redis.asyncio import Redis

_BATCH = 5000
_OWNERS = """
local found = {}
for _, key in ipairs(KEYS) do
    found[#found + 1] = redis.call('GET', key) or ''
    found[#found + 1] = redis.call('PTTL', key)
end
return found
"""


class Keep(NamedTuple):
    """Who has a place, and whether Redis never lets go of it by itself, as it should with what is sold."""

    booking: str
    is_endless: bool


class SectionRecord(NamedTuple):
    """A general-admission section.

    Attributes:
        capacity: Places in all; None where Redis does not know.
        counted: How many are taken, as the scripts count.
        places: Booking → how many it has.
        keeps: Who has places whose time is not over.
        listed: Every booking with an end, also one that is over and waits to be cleared away.
    """

    capacity: int | None
    counted: int
    places: dict[str, int]
    keeps: list[Keep]
    listed: set[str]


@dataclass
class EventRecord:
    """Attributes: loaded_at: When it was loaded from Postgres, in ms; None while that is yet to be done."""

    loaded_at: int | None = None
    seats: dict[str, Keep] = field(default_factory=dict)
    sections: dict[str, SectionRecord] = field(default_factory=dict)


async def read_events(redis: Redis, event_id: UUID | None) -> dict[str, EventRecord]:
    """What Redis keeps of one event or of all, by event; `redis` must decode its answers."""
    events: dict[str, EventRecord] = defaultdict(EventRecord)
    sections: set[tuple[str, str]] = set()
    seats: dict[str, list[str]] = defaultdict(list)
    async for key in redis.scan_iter(f"seatwright:{{{event_id or '*'}}}:*", count=_BATCH):
        _, event, kind, *rest = str(key).split(":", 3)
        event = event.strip("{}")
        if kind == "epoch":
            events[event].loaded_at = int(await redis.get(key) or 0)
        elif kind == "seat":
            seats[event].append(rest[0])
        elif kind == "general":
            sections.add((event, rest[0].rpartition(":")[0]))
    for event, names in seats.items():
        for start in range(0, len(names), _BATCH):
            events[event].seats |= await _owners(redis, event, names[start : start + _BATCH])
    for event, section in sections:
        events[event].sections[section] = await _section(redis, event, section)
    return events


async def _owners(redis: Redis, event: str, names: list[str]) -> dict[str, Keep]:
    keys = [f"seatwright:{{{event}}}:seat:{name}" for name in names]
    found: list[str | int] = await redis.eval_ro(_OWNERS, len(keys), *keys)
    kept = zip(names, found[::2], found[1::2], strict=True)
    return {name: Keep(str(owner), ttl == -1) for name, owner, ttl in kept if owner}


async def _section(redis: Redis, event: str, section: str) -> SectionRecord:
    prefix = f"seatwright:{{{event}}}"
    async with redis.pipeline(transaction=True) as together:
        together.time()
        together.hget(f"{prefix}:capacity", section)
        together.get(f"{prefix}:general:{section}:count")
        together.hgetall(f"{prefix}:general:{section}:places")
        together.zrange(f"{prefix}:general:{section}:until", 0, -1, withscores=True)
        (seconds, _), capacity, count, places, ends = await together.execute()
    return SectionRecord(
        capacity=None if capacity is None else int(capacity),
        counted=int(count or 0),
        places={booking: int(quantity) for booking, quantity in places.items()},
        keeps=list(_keeps(ends, int(seconds) * 1000)),
        listed={booking for booking, _ in ends},
    )


def _keeps(ends: Iterable[tuple[str, float]], now: int) -> Iterable[Keep]:
    return (Keep(booking, end == inf) for booking, end in ends if end > now)
