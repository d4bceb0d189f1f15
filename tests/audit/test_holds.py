"""With each guard in Redis's scripts removed, the audit names the booking with a wrong or missing hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

import adapters
from adapters.redis.seat_locks import Places, SeatLocks, seat_key
from tests.audit.harness import Harness
from tests.scale import sample

DEAD, ENDLESS = "holds have live bookings", "every hold expires"
KNOWN, COUNTED = "redis has every taken place", "redis counts every place"
ENDED = "redis forgets past events"

Cut = Callable[[str, str, str], SeatLocks]


class Forgetful(SeatLocks):
    """Never releases a place."""

    async def release(self, places: Places, version: int = 0) -> bool:
        return True


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def cut(raw: Redis) -> Cut:
    """Seat locks with a part of one script removed."""

    def without(script: str, guard: str, instead: str) -> SeatLocks:
        lua = (Path(adapters.__file__).parent / "redis" / "lua" / f"{script}.lua").read_text()
        assert lua.count(guard) == 1
        locks = SeatLocks(raw)
        setattr(locks, f"_{script}", raw.register_script(lua.replace(guard, instead)))
        return locks

    return without


async def test_a_hold_that_outlives_its_booking_is_found(harness: Harness, raw: Redis) -> None:
    booking = await harness.end(await harness.held("A-1-1", Standing=2), locks=Forgetful(raw))
    assert await harness.finds() == {(DEAD, str(booking.id))}


async def test_a_hold_that_never_ends_by_itself_is_found(harness: Harness, cut: Cut) -> None:
    booking = await harness.held("A-1-1", "A-1-2", locks=cut("hold", "booking, 'PX', ttl, 'NX'", "booking, 'NX'"))
    await harness.saga(booking)
    assert await harness.finds() == {(ENDLESS, str(booking.id)), (ENDED, str(harness.event))}


async def test_a_hold_that_ends_with_its_event_only_is_found(harness: Harness, raw: Redis) -> None:
    booking = await harness.held("A-1-1", Standing=1)
    await harness.saga(booking)
    await raw.pexpire(seat_key(harness.event, "A-1-1"), timedelta(days=30))
    assert await harness.finds() == {(ENDLESS, str(booking.id))}


LASTING = {
    "a seat": ("show", "redis.call('SET', key, booking, 'PXAT', ARGV[3])", "redis.call('SET', key, booking)"),
    "a section": (
        "show",
        "redis.call('PEXPIREAT', section .. part, ARGV[3])",
        "redis.call('PERSIST', section .. part)",
    ),
    "the epoch": ("load", "string.format('%d', now), 'PXAT', ARGV[4])", "string.format('%d', now))"),
    "the capacity": ("load", "redis.call('PEXPIREAT', prefix .. ':capacity', ARGV[5])", ""),
    "a section's holds": ("hold", "call('PEXPIREAT', section .. part, ends)", ""),
}


@pytest.mark.parametrize("key", sample(list(LASTING), 2, of="keys that outlive their event"))
async def test_a_key_that_outlives_its_event_is_found(harness: Harness, cut: Cut, key: str) -> None:
    script, guard, instead = LASTING[key]
    careless = cut(script, guard, instead)
    booking = await harness.held("A-1-1", Standing=1, locks=careless)
    await harness.saga(booking)
    if script == "show":
        bought = Places(harness.event, booking.id, ["A-1-1"], {"Standing": 1})
        await careless.show(bought, booking.version, datetime.now(UTC))
    assert (ENDED, str(harness.event)) in await harness.finds()


async def test_a_hold_deleted_by_another_booking_is_found_without_the_owner_check(harness: Harness, cut: Cut) -> None:
    owner = await harness.held("A-1-1")
    await harness.saga(owner)
    careless = cut("show", "if redis.call('GET', key) == booking then", "do")
    assert await harness.hold("A-1-1", locks=careless) is None
    assert await harness.finds() == {(KNOWN, str(owner.id))}


async def test_a_place_kept_for_a_booking_that_has_not_claimed_it_is_found(harness: Harness) -> None:
    booking = await harness.bought("A-1-1")
    await harness.locks.hold(Places(harness.event, booking.id, ["A-1-2"], {}), timedelta(minutes=1))
    assert await harness.finds() == {(KNOWN, str(booking.id))}


async def test_places_that_leak_from_the_count_are_found(harness: Harness, cut: Cut) -> None:
    booking = await harness.held(Standing=2)
    await harness.end(booking, locks=cut("show", "redis.call('DECRBY', section .. ':count', mine)", ""))
    assert await harness.finds() == {(COUNTED, f"{harness.event} Standing")}


async def test_a_section_without_capacity_that_refuses_everybody_is_found(harness: Harness) -> None:
    await harness.cancelled("A-1-1")
    assert await harness.finds() == set()
    await harness.redis.hdel(f"seatwright:{{{harness.event}}}:capacity", "Standing")
    assert await harness.hold(Standing=1) is None
    assert await harness.finds() == {(COUNTED, f"{harness.event} Standing")}
    await harness.redis.delete(f"seatwright:{{{harness.event}}}:capacity")
    assert await harness.finds() == {(COUNTED, f"{harness.event} {name}") for name in ("Standing", "Garden")}


async def test_a_cold_event_is_not_held_against_redis(harness: Harness) -> None:
    booking = await harness.held("A-1-1")
    await harness.saga(booking)
    await harness.redis.flushall()
    assert await harness.finds() == set()
