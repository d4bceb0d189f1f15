"""An event that is not on sale any more is not loaded into Redis, and its missing keys free no place."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reservation.bookings import Reinstate, ReservationActivities, Step
from activities.reservation.exchanges import ExchangeActivities
from adapters.redis.seat_locks import SeatLocks, epoch_key, seat_key
from domain.bookings import Booking, BookingStatus
from domain.problems import ProblemType
from tests.adapters.seats.places import ends_of_keys, forget
from tests.audit.harness import step
from tests.db.booking_steps import claim, confirm, give_back, move, on_sale
from tests.pace import watch
from tests.requests import booking_request, exchange_request

STATUS = BookingStatus
ENDS_OF_SALE = {
    "begun": "UPDATE events SET starts_at = now() - interval '1 second' WHERE id = :id",
    "long ago": "UPDATE events SET starts_at = now() - interval '30 days' WHERE id = :id",
    "cancelled": "UPDATE events SET status = 'cancelled' WHERE id = :id",
}


@pytest.fixture(params=list(ENDS_OF_SALE.values()), ids=list(ENDS_OF_SALE))
def end_of_sale(request: pytest.FixtureRequest) -> str:
    statement: str = request.param
    return statement


async def ended(engine: AsyncEngine, redis: Redis, event: UUID, statement: str) -> None:
    """End the sale, and all keys of the event."""
    async with engine.begin() as connection:
        await connection.execute(text(statement), {"id": event})
    if await ends_of_keys(redis, event):
        await forget(redis, event)


async def bought(engine: AsyncEngine, event: UUID, *seats: str) -> Booking:
    return await confirm(engine, await move(engine, await claim(engine, event, *seats), STATUS.PAYING))


async def test_no_hold_of_a_past_event_is_admitted_or_loads_it(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis, end_of_sale: str
) -> None:
    event = await on_sale(reservation)
    await bought(reservation, event, "A-1-1")
    await ended(reservation, redis, event, end_of_sale)
    requests = [booking_request(event, f"A-1-{number}") for number in range(1, 9)]
    requests += [booking_request(event, "A-1-1", "A-1-2"), booking_request(event, Standing=1)]

    with watch() as taken:
        outcomes = await asyncio.gather(*(step(steps.hold, request) for request in requests))

    assert {outcome.problem and outcome.problem.type for outcome in outcomes} == {ProblemType.EVENT_NOT_ON_SALE}
    assert taken.seconds < taken.allows(4), "each caller has waited for the turn of the one before"
    left = await ends_of_keys(redis, event)
    assert not await redis.exists(epoch_key(event))
    assert [key for key in left if not key.startswith(("ended:", "change"))] == []
    assert min(left.values()) > 0


async def test_no_late_payment_or_exchange_of_a_past_event_is_admitted(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis, end_of_sale: str
) -> None:
    event = await on_sale(reservation)
    expired = await move(reservation, await claim(reservation, event, "A-1-2"), STATUS.EXPIRED)
    await give_back(reservation, expired)
    booking = await bought(reservation, event, "A-1-1")
    await ended(reservation, redis, event, end_of_sale)

    back = await step(steps.reinstate, Reinstate(booking=expired, window=timedelta(minutes=1)))
    exchanges = ExchangeActivities(reservation, SeatLocks(redis), steps.admit)
    swapped = await step(exchanges.hold_new_seat, exchange_request(booking, booking.tickets[0].id, "A-1-3"))

    assert back.problem
    assert swapped.problem
    assert {back.problem.type, swapped.problem.type} == {ProblemType.EVENT_NOT_ON_SALE}
    assert not await redis.exists(epoch_key(event))


@pytest.mark.parametrize(("days", "is_kept"), [(6, True), (30, False)])
async def test_a_reset_of_a_past_booking_shows_redis_only_what_ends_later(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis, days: int, is_kept: bool
) -> None:
    event = await on_sale(reservation)
    paying = await move(reservation, await claim(reservation, event, "A-1-1", Standing=1), STATUS.PAYING)
    await confirm(reservation, paying)
    moved = f"UPDATE events SET starts_at = now() - interval '{days} days' WHERE id = :id"
    await ended(reservation, redis, event, moved)

    await step(steps.issue, Step(booking=paying))

    assert await redis.exists(seat_key(event, "A-1-1")) == is_kept
    ends = await ends_of_keys(redis, event)
    assert bool(ends) == is_kept
    assert -1 not in ends.values()


async def test_an_event_on_sale_is_rebuilt_from_postgres_with_all_that_is_sold(
    reservation: AsyncEngine, steps: ReservationActivities, redis: Redis
) -> None:
    event = await on_sale(reservation)
    await bought(reservation, event, "A-1-1")
    await step(steps.hold, booking_request(event, "A-1-2", Standing=10))
    await forget(redis, event)
    for request, taken in (
        (booking_request(event, "A-1-1"), ["A-1-1"]),
        (booking_request(event, "A-1-1", "A-1-2", "A-1-3"), ["A-1-1", "A-1-2"]),
        (booking_request(event, Standing=1), ["Standing"]),
    ):
        problem = (await step(steps.hold, request)).problem
        assert problem
        assert list(problem.members["seats"]) == taken
    assert -1 not in (await ends_of_keys(redis, event)).values()
