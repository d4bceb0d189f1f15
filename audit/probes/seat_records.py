"""Reads all seat keys in Redis, which `adapters.redis.seat_locks` writes."""

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
    found[#found + 1] = redis.call('PEXPIRETIME', key)
end
return found
"""
_ENDS = """
local found = {}
for _, key in ipairs(KEYS) do found[#found + 1] = redis.call('PEXPIRETIME', key) end
return found
"""
_NO_END = -1


class SeatOwner(NamedTuple):
    """The booking that has a place, and when the place is free again (ms since the epoch; infinite: never)."""

    booking: str
    ends: float


class SectionRecord(NamedTuple):
    """A general-admission section that has had a hold.

    Attributes:
        counted: The number of taken places in the counter of the scripts.
        places: The number of places by booking.
        owners: The bookings whose places have not expired.
        listed: All bookings with an expiry, including expired ones that wait for removal.
    """

    counted: int
    places: dict[str, int]
    owners: list[SeatOwner]
    listed: set[str]


@dataclass
class EventRecord:
    """The records of one event.

    Attributes:
        loaded_at: Time of the load from Postgres (ms since the epoch); None before the load.
        capacities: The number of places of each general-admission section; empty before the load.
        endless: The keys that do not expire.
    """

    loaded_at: int | None = None
    capacities: dict[str, int] = field(default_factory=dict)
    seats: dict[str, SeatOwner] = field(default_factory=dict)
    sections: dict[str, SectionRecord] = field(default_factory=dict)
    endless: list[str] = field(default_factory=list)


async def read_events(redis: Redis, event_ids: list[UUID] | None) -> dict[str, EventRecord]:
    """Read the records of some events or of all events, by event; `redis` must decode its replies to text."""
    events: dict[str, EventRecord] = defaultdict(EventRecord)
    loaded: list[str] = []
    sections: set[tuple[str, str]] = set()
    seats: dict[str, list[str]] = defaultdict(list)
    others: dict[str, list[str]] = defaultdict(list)
    chosen = None if event_ids is None else {str(event) for event in event_ids}
    which = next(iter(chosen)) if chosen and len(chosen) == 1 else "*"
    async for key in redis.scan_iter(f"seatwright:{{{which}}}:*", count=_BATCH):
        _, event, kind, *rest = str(key).split(":", 3)
        event = event.strip("{}")
        if chosen is not None and event not in chosen:
            continue
        if kind == "seat":
            seats[event].append(rest[0])
            continue
        others[event].append(str(key))
        if kind == "epoch":
            loaded.append(event)
        elif kind == "general":
            sections.add((event, rest[0].rpartition(":")[0]))
    for some in _batches(loaded):
        for event, (loaded_at, capacities) in (await _loads(redis, some)).items():
            events[event].loaded_at, events[event].capacities = loaded_at, capacities
    for event, names in seats.items():
        for some in _batches(names):
            events[event].seats |= await _owners(redis, event, some)
    for event, section in sections:
        events[event].sections[section] = await _section(redis, event, section)
    for event, keys in others.items():
        for some in _batches(keys):
            events[event].endless += await _endless(redis, some)
    return events


def _batches(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))


async def _loads(redis: Redis, events: list[str]) -> dict[str, tuple[int | None, dict[str, int]]]:
    """When each event was loaded, and its capacities, in one step, since a load sets both together."""
    async with redis.pipeline(transaction=True) as together:
        for event in events:
            prefix = f"seatwright:{{{event}}}"
            together.get(f"{prefix}:epoch")
            together.hgetall(f"{prefix}:capacity")
        found = await together.execute()
    return {
        event: (None if epoch is None else int(epoch), {section: int(places) for section, places in capacity.items()})
        for event, epoch, capacity in zip(events, found[::2], found[1::2], strict=True)
    }


async def _endless(redis: Redis, keys: list[str]) -> list[str]:
    ends: list[int] = await redis.eval_ro(_ENDS, len(keys), *keys)
    return [key for key, end in zip(keys, ends, strict=True) if end == _NO_END]


async def _owners(redis: Redis, event: str, names: list[str]) -> dict[str, SeatOwner]:
    keys = [f"seatwright:{{{event}}}:seat:{name}" for name in names]
    found: list[str | int] = await redis.eval_ro(_OWNERS, len(keys), *keys)
    kept = zip(names, found[::2], found[1::2], strict=True)
    return {name: SeatOwner(str(owner), inf if end == _NO_END else float(end)) for name, owner, end in kept if owner}


async def _section(redis: Redis, event: str, section: str) -> SectionRecord:
    prefix = f"seatwright:{{{event}}}"
    async with redis.pipeline(transaction=True) as together:
        together.time()
        together.get(f"{prefix}:general:{section}:count")
        together.hgetall(f"{prefix}:general:{section}:places")
        together.zrange(f"{prefix}:general:{section}:until", 0, -1, withscores=True)
        (seconds, _), count, places, ends = await together.execute()
    return SectionRecord(
        counted=int(count or 0),
        places={booking: int(quantity) for booking, quantity in places.items()},
        owners=list(_unexpired(ends, int(seconds) * 1000)),
        listed={booking for booking, _ in ends},
    )


def _unexpired(ends: Iterable[tuple[str, float]], now: int) -> Iterable[SeatOwner]:
    return (SeatOwner(booking, end) for booking, end in ends if end > now)
