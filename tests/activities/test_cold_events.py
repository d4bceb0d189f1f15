"""While a booking is being paid, Redis keeps its places, however its event becomes cold and is loaded again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reservation.bookings import ReservationActivities, StartPayment
from activities.reservation.cold_events import load_event
from activities.reservation.exchanges import ExchangeActivities
from adapters.redis.seat_locks import ColdEvent, Places, SeatLocks, seat_key
from domain.bookings import Booking, BookingStatus
from domain.problems import ProblemType, Refused
from tests.activities.conftest import WINDOW
from tests.activities.stopping import Stopped
from tests.adapters.seats.places import MINUTE, ends_in, forget, wants
from tests.audit.harness import step
from tests.db.booking_steps import claim, confirm, move, on_sale
from tests.requests import booking_request, exchange_request

STATUS = BookingStatus
HOLD = timedelta(minutes=2, seconds=90)
PAID_FOR = WINDOW + timedelta(seconds=90)
LONG_AGO = text("UPDATE bookings SET expires_at = now() - interval '1 day' WHERE id = :id")
WAYS = [(STATUS.PAYING,), (STATUS.PAYING, STATUS.ACTION_REQUIRED), (STATUS.PAYING, STATUS.NEEDS_ATTENTION)]


def about(wanted: timedelta, found: int) -> bool:
    """Whether so many milliseconds are this time, or some seconds less."""
    return wanted - MINUTE < timedelta(milliseconds=found) <= wanted


async def refused(steps: ReservationActivities, places: Places) -> list[str]:
    """What another buyer cannot have."""
    with pytest.raises(Refused) as refusal:
        await steps.admit(places, MINUTE)
    assert refusal.value.problem.type is ProblemType.SEATS_UNAVAILABLE
    return list(refusal.value.problem.members["seats"])


@pytest.mark.parametrize("order", list(permutations(["extend", "withdraw", "load"])), ids="-".join)
async def test_no_order_of_a_cold_hold_a_payment_and_a_load_frees_a_seat_that_is_paid(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis, order: tuple[str, ...]
) -> None:
    event = await on_sale(reservation)
    owner = (await step(steps.hold, booking_request(event, "A-1-1"))).booking
    assert owner
    await forget(redis, event)
    rival, loader = SeatLocks(redis), SeatLocks(redis)
    withdrawal, load = Stopped(rival, "withdraw"), Stopped(loader, "load")
    wanted = wants(event, "A-1-1")
    cold_hold = asyncio.create_task(rival.hold(wanted, HOLD))
    loading = asyncio.create_task(load_event(reservation, loader, event, WINDOW))
    await asyncio.gather(withdrawal.has_come.wait(), load.has_come.wait())
    assert await redis.get(seat_key(event, "A-1-1")) == str(wanted.booking_id).encode(), "the rival has set the seat"

    async def extend() -> None:
        await step(steps.start_payment, StartPayment(booking=owner, window=WINDOW))

    for action in order:
        await {"extend": extend, "withdraw": withdrawal.go, "load": load.go}[action]()
    with pytest.raises(ColdEvent):
        await cold_hold
    await loading

    assert await refused(steps, wanted) == ["A-1-1"]
    assert await redis.get(seat_key(event, "A-1-1")) == str(owner.id).encode()
    assert about(PAID_FOR, await ends_in(redis, wanted, "A-1-1"))


async def paying(engine: AsyncEngine, event: UUID, way: tuple[BookingStatus, ...]) -> Booking:
    booking = await claim(engine, event, "A-1-1", "A-1-2", Standing=10)
    for status in way:
        booking = await move(engine, booking, status)
    return booking


@pytest.mark.parametrize("way", WAYS, ids=[way[-1] for way in WAYS])
async def test_a_load_keeps_the_places_of_a_payment_for_as_long_as_one_may_take(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis, way: tuple[BookingStatus, ...]
) -> None:
    event = await on_sale(reservation)
    owner = await paying(reservation, event, way)
    wanted = wants(event, "A-1-1", "A-1-2", Standing=1)

    assert await refused(steps, wanted) == ["A-1-1", "A-1-2", "Standing"]

    assert all([about(PAID_FOR, await ends_in(redis, wanted, seat)) for seat in ("A-1-1", "A-1-2")])
    end = await redis.zscore(f"seatwright:{{{event}}}:general:Standing:until", str(owner.id))
    seconds, microseconds = await redis.time()
    assert about(PAID_FOR, int((end or 0) - seconds * 1000 - microseconds / 1000))


async def test_a_load_keeps_a_hold_for_as_long_as_the_hold_lasts(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis
) -> None:
    event = await on_sale(reservation)
    await claim(reservation, event, "A-1-1")
    assert await refused(steps, wants(event, "A-1-1")) == ["A-1-1"]
    assert about(HOLD, await ends_in(redis, wants(event), "A-1-1"))


async def test_a_load_keeps_the_new_seat_of_an_exchange_under_way(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis
) -> None:
    event = await on_sale(reservation)
    held = await claim(reservation, event, "A-1-1")
    booking = await confirm(reservation, await move(reservation, held, STATUS.PAYING))
    exchanges = ExchangeActivities(reservation, SeatLocks(redis), steps.admit)
    outcome = await step(exchanges.hold_new_seat, exchange_request(booking, booking.tickets[0].id, "A-1-2"))
    assert outcome.exchange
    async with reservation.begin() as connection:
        await connection.execute(LONG_AGO, {"id": booking.id})
    await forget(redis, event)

    assert await refused(steps, wants(event, "A-1-1", "A-1-2")) == ["A-1-1", "A-1-2"]

    assert about(PAID_FOR, await ends_in(redis, wants(event), "A-1-2"))
