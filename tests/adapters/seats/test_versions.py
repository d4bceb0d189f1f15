"""What a booking has bought is shown as its latest version has it, in whatever order the calls come."""

from __future__ import annotations

from itertools import permutations
from uuid import UUID

import pytest
from redis.asyncio import Redis

from adapters.redis.seat_locks import SeatLocks
from tests.adapters.seats.places import MINUTE, STARTS, count, forget, is_sold, wants


async def test_a_booking_that_buys_what_it_holds_is_certain_of_it(locks: SeatLocks, event: UUID) -> None:
    places = wants(event, "A-1-1", "A-1-2", Standing=2)
    await locks.hold(places, MINUTE)
    assert await locks.show(places, 3, STARTS)
    assert await locks.show(places, 3, STARTS)


async def test_a_sale_without_a_hold_or_a_known_version_asks_to_read_again(locks: SeatLocks, event: UUID) -> None:
    assert not await locks.show(wants(event, "A-1-1"), 3, STARTS)
    held = wants(event, "A-1-2", Standing=3)
    await locks.hold(held, MINUTE)
    assert not await locks.show(held._replace(quantities={"Standing": 2}), 3, STARTS)


@pytest.mark.parametrize("order", list(permutations([3, 4, 5])), ids=str)
@pytest.mark.parametrize("is_emptied", [False, True])
async def test_the_latest_version_stays_whatever_the_order(
    locks: SeatLocks, redis: Redis, event: UUID, order: tuple[int, ...], is_emptied: bool
) -> None:
    held = wants(event, "A-1-1", "A-1-2", Standing=3)
    await locks.hold(held, MINUTE)
    if is_emptied:
        await forget(redis, event)
    places = {
        3: (held, ()),
        4: (held._replace(seats=("A-1-2",), quantities={"Standing": 2}), ("A-1-1",)),
        5: (held._replace(seats=("A-1-1",), quantities={"Standing": 1}), ("A-1-2",)),
    }
    for number, version in enumerate(order):
        bought, free = places[version]
        certain = await locks.show(bought, version, STARTS, free=free)
        assert certain or number == 0 or version < max(order[:number])

    assert await is_sold(redis, held, "A-1-1")
    assert not await is_sold(redis, held, "A-1-2")
    assert await count(redis, event, "Standing") == (1, 1)


async def test_a_release_of_a_booking_that_has_bought_since_changes_nothing(
    locks: SeatLocks, redis: Redis, event: UUID
) -> None:
    places = wants(event, "A-1-1", Standing=2)
    await locks.hold(places, MINUTE)
    await locks.show(places, 5, STARTS)
    for version in (0, 3):
        assert not await locks.release(places, version)
    assert await is_sold(redis, places, "A-1-1")
    assert await count(redis, event, "Standing") == (2, 2)
    assert await locks.release(places, 6)
    assert await locks.hold(wants(event, "A-1-1", Standing=10), MINUTE) == ()
