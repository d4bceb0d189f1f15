"""An event that Redis has lost admits no booking until it is loaded from Postgres again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from adapters.redis.seat_locks import Claims, ColdEvent, Places, SeatLocks, epoch_key, seat_key
from tests.adapters.seats.places import CAPACITY, MINUTE, NOTHING, STARTS, count, ends_in, forget, is_sold, wants
from tests.waiting import eventually


async def test_a_cold_event_admits_no_booking_until_it_is_loaded(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    sold, held = wants(event, "A-1-1", Standing=3), wants(event, "A-1-2", Garden=1)
    await locks.hold(sold, MINUTE)
    await locks.show(sold, 1, STARTS)
    await locks.hold(held, MINUTE)
    await forget(redis, event)

    for ask in (locks.hold(wants(event, "A-1-3"), MINUTE), locks.peek(wants(event, "A-1-1"))):
        with pytest.raises(ColdEvent):
            await ask

    truth = Claims(
        CAPACITY,
        [("A-1-1", sold.booking_id, None), ("A-1-2", held.booking_id, MINUTE)],
        [("Standing", sold.booking_id, 3, None), ("Garden", held.booking_id, 1, MINUTE)],
    )
    assert await locks.load(event, await locks.latest_change(event), truth, STARTS)
    much = wants(event, "A-1-1", "A-1-2", "A-1-3", Standing=8, Garden=4)
    assert await locks.hold(much, MINUTE) == ("A-1-1", "A-1-2", "Standing", "Garden")
    assert await is_sold(redis, sold, "A-1-1")
    assert 0 < await ends_in(redis, held, "A-1-2") <= 60_000


async def test_of_many_loads_of_an_event_one_has_effect(locks: SeatLocks, redis: Redis) -> None:
    event = uuid4()
    rivals = [Claims(CAPACITY, [("A-1-1", uuid4(), None)], [("Standing", uuid4(), 2, None)]) for _ in range(20)]
    assert all(await asyncio.gather(*(locks.load(event, "", claims, STARTS) for claims in rivals)))
    assert await count(redis, event, "Standing") == (2, 2)
    owner = await redis.get(f"seatwright:{{{event}}}:seat:A-1-1")
    assert isinstance(owner, bytes)
    assert owner.decode() in {str(claims.seats[0][1]) for claims in rivals}


async def admitted(locks: SeatLocks, places: Places, read: Callable[[], Awaitable[Claims]]) -> tuple[str, ...]:
    """Hold as the reservation service does, with Postgres' answer from `read`."""

    async def come() -> tuple[tuple[str, ...]] | None:
        try:
            return (await locks.hold(places, MINUTE),)
        except ColdEvent:
            if await locks.may_load(places.event_id):
                change = await locks.latest_change(places.event_id)
                await locks.load(places.event_id, change, await read(), STARTS)
            return None

    found = await eventually(come)
    assert found
    return found[0]


async def test_a_crowd_at_a_cold_event_reads_postgres_once(locks: SeatLocks, redis: Redis, event: UUID) -> None:
    seats = [(f"A-{row}-{number}", uuid4(), None) for row in range(1, 41) for number in range(1, 51)]
    await forget(redis, event)
    reads = 0

    async def read() -> Claims:
        nonlocal reads
        reads += 1
        return Claims(CAPACITY, seats, ())

    crowd = [wants(event, "A-40-50", f"B-1-{number}", Standing=1) for number in range(40)]
    answers = await asyncio.gather(*(admitted(locks, places, read) for places in crowd))
    assert answers == [("A-40-50",)] * 40
    assert reads == 1
    assert await locks.hold(wants(event, "B-1-1", "A-1-1"), MINUTE) == ("A-1-1",)


async def test_one_process_at_a_time_has_the_turn_to_load_an_event(redis: Redis) -> None:
    event = uuid4()
    one, other = SeatLocks(redis), SeatLocks(redis)
    assert await one.may_load(event)
    assert not await one.may_load(event)
    assert not await other.may_load(event)
    assert 0 < await redis.pttl(f"seatwright:{{{event}}}:loading") <= 5_000  # in case the process dies

    await redis.set(f"seatwright:{{{event}}}:change", "something")
    assert not await other.load(event, "", NOTHING, STARTS)
    assert not await other.may_load(event)  # a process without the turn cannot end it
    await redis.delete(f"seatwright:{{{event}}}:change")
    await one.load(event, "", NOTHING, STARTS)
    assert not await other.may_load(event)  # it is warm
    await forget(redis, event)
    assert await other.may_load(event)


async def test_a_load_that_must_read_again_gets_its_turn_again(locks: SeatLocks) -> None:
    event = uuid4()
    assert await locks.may_load(event)
    change = await locks.latest_change(event)
    await locks.release(wants(event, "A-1-1"))
    assert not await locks.load(event, change, NOTHING, STARTS)
    assert await locks.may_load(event)


async def test_a_sale_made_while_the_event_was_cold_survives_the_load(locks: SeatLocks, redis: Redis) -> None:
    event = uuid4()
    sold = wants(event, "A-1-1", Standing=2)
    before = Claims(
        CAPACITY, [("A-1-1", sold.booking_id, MINUTE)], [("Standing", sold.booking_id, 2, timedelta(milliseconds=1))]
    )
    change = await locks.latest_change(event)
    await locks.show(sold, 1, STARTS)
    assert await locks.load(event, change, before, STARTS)
    assert await is_sold(redis, sold, "A-1-1")
    assert await locks.hold(wants(event, Standing=9), MINUTE) == ("Standing",)
    assert await count(redis, event, "Standing") == (2, 2)


async def test_a_hold_at_a_cold_event_leaves_nothing_behind(locks: SeatLocks, redis: Redis) -> None:
    event = uuid4()
    with pytest.raises(ColdEvent):
        await locks.hold(wants(event, "A-1-1"), MINUTE)
    assert not [key async for key in redis.scan_iter(f"seatwright:{{{event}}}:*")]


@pytest.mark.parametrize("claim", ["held", "sold", "sold without an end"])
async def test_a_late_withdrawal_leaves_the_seat_to_its_booking(locks: SeatLocks, redis: Redis, claim: str) -> None:
    event = uuid4()
    places = wants(event, "A-1-1")
    await redis.set(seat_key(event, "A-1-1"), str(places.booking_id), px=60_000)  # then the process is paused
    assert await locks.load(event, "", NOTHING, STARTS)
    assert await locks.hold(places, MINUTE) == ()  # by another worker
    if claim != "held":
        await locks.show(places, 1, STARTS)
        await redis.delete(epoch_key(event))
    if claim == "sold without an end":
        await redis.persist(seat_key(event, "A-1-1"))
    await locks._withdraw(keys=[seat_key(event, "A-1-1"), epoch_key(event)], args=[str(places.booking_id), 60_000])
    assert await redis.get(seat_key(event, "A-1-1")) == str(places.booking_id).encode()


async def test_a_process_that_died_in_a_cold_hold_does_not_hide_the_seats_owner(locks: SeatLocks, redis: Redis) -> None:
    event = uuid4()
    sold, held = wants(event, "A-1-1"), wants(event, "A-1-2")
    for seat, owner in (("A-1-1", uuid4()), ("A-1-2", uuid4()), ("A-1-3", sold.booking_id)):
        await redis.set(seat_key(event, seat), str(owner), px=120_000)

    truth = [("A-1-1", sold.booking_id, None), ("A-1-2", held.booking_id, MINUTE), ("A-1-3", sold.booking_id, None)]
    assert await locks.load(event, "", Claims({}, truth, []), STARTS)
    assert await locks.hold(wants(event, "A-1-1", "A-1-2", "A-1-3"), MINUTE) == ("A-1-1", "A-1-2", "A-1-3")
    assert [await is_sold(redis, sold, seat) for seat in ("A-1-1", "A-1-3")] == [True, True]
    assert 0 < await ends_in(redis, held, "A-1-2") <= 60_000


async def test_a_hold_extended_while_the_event_was_cold_survives_the_load(locks: SeatLocks, redis: Redis) -> None:
    event = uuid4()
    held = wants(event, "A-1-1")
    await locks.extend(held, 10 * MINUTE, STARTS)
    assert await locks.load(event, "", Claims({}, [("A-1-1", held.booking_id, MINUTE)], []), STARTS)
    assert await ends_in(redis, held, "A-1-1") > 60_000


async def test_data_that_was_read_before_a_release_is_not_loaded(locks: SeatLocks, redis: Redis) -> None:
    event = uuid4()
    gone = wants(event, "A-1-1", Standing=10)
    stale = Claims(CAPACITY, [("A-1-1", gone.booking_id, MINUTE)], [("Standing", gone.booking_id, 10, MINUTE)])
    change = await locks.latest_change(event)
    await locks.release(gone)
    assert not await locks.load(event, change, stale, STARTS)
    with pytest.raises(ColdEvent):
        await locks.hold(wants(event, "A-1-1"), MINUTE)

    assert await locks.load(event, await locks.latest_change(event), NOTHING, STARTS)
    assert await locks.hold(wants(event, "A-1-1", Standing=10), MINUTE) == ()
