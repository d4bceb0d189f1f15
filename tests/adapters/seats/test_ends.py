"""Every key of an event ends; while the event is warm, no place is missing for that reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from adapters.redis.seat_locks import Claims, ColdEvent, Places, SeatLocks, epoch_key, keys_end, seat_key
from tests.adapters.seats.places import CAPACITY, MINUTE, STARTS, ends_of_keys, wants
from tests.waiting import eventually

WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)
OWNER, LATER = uuid4(), uuid4()


async def load(locks: SeatLocks, event: UUID, starts_at: datetime = STARTS) -> None:
    sold = [("A-1-1", OWNER, None), ("A-1-2", LATER, MINUTE)]
    general = [("Standing", OWNER, 2, None), ("Standing", LATER, 1, MINUTE)]
    assert await locks.load(event, "", Claims(CAPACITY, sold, general, [uuid4()]), starts_at)


Call = Callable[[SeatLocks, Places], Awaitable[object]]
CALLS: dict[str, Call] = {
    "hold": lambda locks, places: locks.hold(places, MINUTE),
    "peek": lambda locks, places: locks.peek(places),
    "extend": lambda locks, places: locks.extend(places, MINUTE, STARTS),
    "show": lambda locks, places: locks.show(places, 1, STARTS, free=["B-1-9"]),
    "release": lambda locks, places: locks.release(places),
    "turn": lambda locks, places: locks.may_load(places.event_id),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("state", ["cold", "warm", "loaded after it"])
async def test_no_call_leaves_a_key_without_an_end(locks: SeatLocks, redis: Redis, call: Call, state: str) -> None:
    event = uuid4()
    if state == "warm":
        await load(locks, event)
    for places in (wants(event, "B-1-1"), wants(event, "B-1-2", "B-1-3", Standing=1, Garden=1)):
        try:
            await call(locks, places)
        except ColdEvent:
            assert state != "warm"
    if state == "loaded after it":
        token = await locks.latest_change(event)
        await locks.load(event, token, Claims(CAPACITY, [("A-1-1", OWNER, None)], [("Garden", OWNER, 1, None)]), STARTS)
    assert {key: end for key, end in (await ends_of_keys(redis, event)).items() if end < 0} == {}


async def test_all_places_of_a_warm_event_outlast_its_epoch(locks: SeatLocks, redis: Redis) -> None:
    event = uuid4()
    await load(locks, event)
    await locks.show(wants(event, "B-1-1", Standing=1), 1, STARTS)
    await locks.hold(wants(event, "B-1-2", Garden=1), MINUTE)
    ends = await ends_of_keys(redis, event)
    lasting = {key for key, end in ends.items() if end == keys_end(STARTS)}
    assert ends["epoch"] == keys_end(STARTS - HOUR)
    parts = {f"general:{section}:{part}" for section in CAPACITY for part in ("places", "until", "count")}
    assert lasting == {"seat:A-1-1", "seat:B-1-1", "capacity", "versions", *parts}


async def test_a_place_whose_events_epoch_has_ended_is_not_free(locks: SeatLocks, redis: Redis) -> None:
    event = uuid4()
    await load(locks, event, datetime.now(UTC) - WEEK + timedelta(seconds=0.5))
    assert await locks.hold(wants(event, "A-1-1"), MINUTE) == ("A-1-1",)

    async def is_cold() -> bool:
        return not await redis.exists(epoch_key(event))

    await eventually(is_cold, every=0.02)
    for places in (wants(event, "A-1-1"), wants(event, "A-1-1", "A-1-3"), wants(event, Standing=1)):
        with pytest.raises(ColdEvent):
            await locks.hold(places, MINUTE)
    assert await redis.get(seat_key(event, "A-1-1")) == str(OWNER).encode()


async def test_no_key_is_set_for_an_event_whose_keys_have_ended(locks: SeatLocks, redis: Redis) -> None:
    event, long_ago = uuid4(), datetime.now(UTC) - WEEK - HOUR
    places = wants(event, "A-1-1", Standing=2)
    await locks.show(places, 1, long_ago)
    await locks.extend(places, MINUTE, long_ago)
    assert await ends_of_keys(redis, event) == {}


async def test_a_sale_without_an_end_is_still_a_sale(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    """Such keys are from before they had an end."""
    owner, late = wants(event, "A-1-1"), wants(event, "A-1-1")
    await redis.set(seat_key(event, "A-1-1"), str(owner.booking_id))
    await locks.show(late, 1, STARTS)
    await redis.delete(epoch_key(event))
    assert await locks.load(event, "", Claims(CAPACITY, [("A-1-1", late.booking_id, None)], []), STARTS)
    assert await redis.get(seat_key(event, "A-1-1")) == str(owner.booking_id).encode()


async def test_an_epoch_without_an_end_does_not_end_its_sections(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    await redis.persist(epoch_key(event))
    assert await locks.hold(wants(event, Garden=4), MINUTE) == ()
    assert await locks.hold(wants(event, Garden=1), MINUTE) == ("Garden",)
