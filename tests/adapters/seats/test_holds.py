"""Holds in Redis: all or none, owned by a booking, and a counter that never leaks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from adapters.redis.seat_locks import Places, SeatLocks
from tests.adapters.seats.places import CAPACITY, MINUTE, NOTHING, STARTS, count, ends_in, ends_of_keys, is_sold, wants
from tests.scale import FULL
from tests.waiting import eventually


async def test_all_places_are_held_or_none(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    assert await locks.hold(wants(event, "A-1-2", Standing=8), MINUTE) == ()

    much = wants(event, "A-1-1", "A-1-2", "A-1-3", Standing=3, Garden=2)
    assert await locks.hold(much, MINUTE) == ("A-1-2", "Standing")

    assert await locks.hold(wants(event, "A-1-1", "A-1-3", Standing=2, Garden=4), MINUTE) == ()
    assert await count(redis, event, "Garden") == (4, 4)


async def test_peeking_holds_nothing(locks: SeatLocks, event: UUID) -> None:
    assert await locks.peek(wants(event, "A-1-1", Standing=10)) == ()
    assert await locks.hold(wants(event, "A-1-1", Standing=10), MINUTE) == ()
    assert await locks.peek(wants(event, "A-1-1", "A-1-2", Standing=1)) == ("A-1-1", "Standing")


async def test_a_booking_that_repeats_its_hold_has_its_places_once(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    places = wants(event, "A-1-1", Standing=10)
    for _ in range(3):
        assert await locks.hold(places, MINUTE) == ()
    assert await count(redis, event, "Standing") == (10, 10)


async def test_a_hold_expires_by_itself(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    assert await locks.hold(wants(event, "A-1-1", Standing=10), timedelta(seconds=1)) == ()
    next_one = wants(event, "A-1-1", Standing=10)
    assert await locks.hold(next_one, MINUTE) == ("A-1-1", "Standing")

    async def is_free() -> bool:
        return await locks.hold(next_one, MINUTE) == ()

    await eventually(is_free, every=0.01)
    assert await count(redis, event, "Standing") == (10, 10)


async def test_a_hold_can_be_extended_by_its_booking_only(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    mine, other = wants(event, "A-1-1"), wants(event, "A-1-1")
    await locks.hold(mine, MINUTE)
    await locks.extend(other, 10 * MINUTE, STARTS)
    assert await ends_in(redis, mine, "A-1-1") <= 60_000
    await locks.extend(mine, 10 * MINUTE, STARTS)
    assert await ends_in(redis, mine, "A-1-1") > 60_000


async def test_a_hold_is_never_shortened(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    places = wants(event, "A-1-1", Standing=2)
    until = f"seatwright:{{{event}}}:general:Standing:until"
    await locks.hold(places, 60 * MINUTE)
    long = await redis.zscore(until, str(places.booking_id))
    for late in (partial(locks.extend, starts_at=STARTS), locks.hold):
        await late(places, 10 * MINUTE)
        assert await ends_in(redis, places, "A-1-1") > 59 * 60_000
        assert await redis.zscore(until, str(places.booking_id)) == long

    await locks.extend(places, 90 * MINUTE, STARTS)
    assert await ends_in(redis, places, "A-1-1") > 89 * 60_000
    longer = await redis.zscore(until, str(places.booking_id))
    assert long is not None
    assert longer is not None
    assert longer > long + 29 * 60_000


async def test_a_hold_without_duration_is_an_error_and_not_a_sale(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    places = wants(event, "A-1-1", Standing=1)
    await locks.hold(places, MINUTE)
    for keep in (partial(locks.extend, starts_at=STARTS), locks.hold):
        for nothing in (timedelta(0), timedelta(microseconds=999), timedelta(seconds=-1)):
            with pytest.raises(ValueError, match="at least a millisecond"):
                await keep(places, nothing)
    assert 0 < await ends_in(redis, places, "A-1-1") <= 60_000


async def test_a_booking_releases_its_own_places_only(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    mine, other = wants(event, "A-1-1", Standing=4), wants(event, "A-1-2", Standing=3)
    await locks.hold(mine, MINUTE)
    await locks.hold(other, MINUTE)

    await locks.release(mine._replace(seats=("A-1-1", "A-1-2")))
    await locks.release(mine)

    assert await count(redis, event, "Standing") == (3, 3)
    assert await locks.hold(wants(event, "A-1-1", "A-1-2"), MINUTE) == ("A-1-2",)


async def test_sold_places_stay_sold_after_any_call_of_their_booking(
    locks: SeatLocks, redis: Redis, event: UUID
) -> None:
    places = wants(event, "A-1-1", Standing=2)
    await locks.hold(places, MINUTE)
    await locks.show(places, 1, STARTS)
    for late in (locks.hold, partial(locks.extend, starts_at=STARTS)):
        await late(places, timedelta(milliseconds=1))
        assert await is_sold(redis, places, "A-1-1")
        until = await redis.zscore(f"seatwright:{{{event}}}:general:Standing:until", str(places.booking_id))
        assert until == float("inf")
    assert await locks.hold(wants(event, "A-1-1", Standing=9), MINUTE) == ("A-1-1", "Standing")


async def test_a_sale_replaces_whatever_redis_has(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    hold, sale = wants(event, "A-1-1"), wants(event, "A-1-1")
    await locks.hold(hold, MINUTE)
    await locks.show(sale, 1, STARTS)
    await locks.release(hold)
    assert await locks.hold(hold, MINUTE) == ("A-1-1",)
    assert await is_sold(redis, sale, "A-1-1")


async def test_a_late_sale_does_not_take_a_seat_that_was_resold(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    late, owner = wants(event, "A-1-1", "A-1-2"), wants(event, "A-1-1")
    await locks.show(owner, 1, STARTS)
    await locks.show(late, 1, STARTS)
    assert await redis.get(f"seatwright:{{{event}}}:seat:A-1-1") == str(owner.booking_id).encode()
    assert await redis.get(f"seatwright:{{{event}}}:seat:A-1-2") == str(late.booking_id).encode()
    await locks.release(late, 1)
    assert await locks.hold(wants(event, "A-1-1", "A-1-2"), MINUTE) == ("A-1-1",)


async def test_a_concurrent_crowd_gets_each_place_once(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    crowd = [wants(event, f"A-1-{n % 9 + 1}", f"A-1-{n % 9 + 2}", Standing=1) for n in range(200)]
    refused = await asyncio.gather(*(locks.hold(places, MINUTE) for places in crowd))
    lucky = [seat for places, taken in zip(crowd, refused, strict=True) if not taken for seat in places.seats]
    assert lucky
    assert len(lucky) == len(set(lucky))
    assert await count(redis, event, "Standing") == (len(lucky) // 2, len(lucky) // 2)


class Operation(NamedTuple):
    """An operation on one of a few bookings; `lapse` is the expiry of its hold."""

    kind: str
    booking: int
    quantities: dict[str, int]


OPERATIONS = st.lists(
    st.builds(
        Operation,
        st.sampled_from(["hold", "hold", "hold", "peek", "extend", "sell", "release", "lapse"]),
        st.integers(0, 3),
        st.dictionaries(st.sampled_from(sorted(CAPACITY)), st.integers(1, 6), min_size=1),
    ),
    max_size=40,
)


class Model:
    """A simple model of the counters."""

    def __init__(self) -> None:
        self.held: dict[int, dict[str, int]] = {}
        self.sold: set[int] = set()

    def refuses(self, operation: Operation) -> tuple[str, ...]:
        others = [held for booking, held in self.held.items() if booking != operation.booking]
        return tuple(
            section
            for section, quantity in operation.quantities.items()
            if sum(held.get(section, 0) for held in others) + quantity > CAPACITY[section]
        )

    def total(self, section: str) -> int:
        return sum(held.get(section, 0) for held in self.held.values())


@settings(max_examples=150 if FULL else 20, deadline=None)
@given(operations=OPERATIONS)
def test_counters_equal_places_and_all_keys_end_after_any_operations(
    redis_url: str, operations: list[Operation]
) -> None:
    async def run() -> None:
        async with Redis.from_url(redis_url) as redis:
            await _run_all(redis, operations)

    asyncio.run(run())


async def _run_all(redis: Redis, operations: Sequence[Operation]) -> None:
    locks, event, model = SeatLocks(redis), uuid4(), Model()
    ids = [uuid4() for _ in range(4)]
    await locks.load(event, "", NOTHING, STARTS)
    for operation in operations:
        await _run_one(locks, redis, model, operation, Places(event, ids[operation.booking], (), operation.quantities))
        assert -1 not in (await ends_of_keys(redis, event)).values(), operation
        for section, capacity in CAPACITY.items():
            counted, found = await count(redis, event, section)
            assert counted == found, operation
            assert model.total(section) <= counted <= capacity, operation
    for booking in ids:
        await locks.release(Places(event, booking, (), CAPACITY), 1)
    assert [await count(redis, event, section) for section in CAPACITY] == [(0, 0)] * len(CAPACITY)


async def _run_one(locks: SeatLocks, redis: Redis, model: Model, operation: Operation, places: Places) -> None:
    mine = model.held.get(operation.booking)
    match operation.kind:
        case "hold" if mine is None or mine == operation.quantities:
            refused = model.refuses(operation)
            assert await locks.hold(places, MINUTE) == refused
            if not refused:
                model.held[operation.booking] = operation.quantities
        case "peek":
            assert await locks.peek(places) == model.refuses(operation)
        case "extend" if mine:
            await locks.extend(places._replace(quantities=mine), MINUTE, STARTS)
        case "sell" if mine:
            await locks.show(places._replace(quantities=mine), 1, STARTS)
            model.sold.add(operation.booking)
        case "release":
            await locks.release(places._replace(quantities=CAPACITY), 1)
            model.held.pop(operation.booking, None)
            model.sold.discard(operation.booking)
        case "lapse" if mine and operation.booking not in model.sold:
            for section in mine:
                key = f"seatwright:{{{places.event_id}}}:general:{section}:until"
                await redis.zadd(key, {str(places.booking_id): 1})
            del model.held[operation.booking]
