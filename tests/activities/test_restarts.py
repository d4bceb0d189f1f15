"""A Redis that restarts may have lost what it was told last, so it begins empty and is loaded from Postgres."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reservation.bookings import ReservationActivities
from activities.reservation.refunds import ReturnedTickets
from adapters.redis.hold_quota import UNLIMITED, HoldQuota
from adapters.redis.seat_locks import SeatLocks
from stack import Stack
from tests.activities.conftest import WINDOW
from tests.activities.test_late_calls import bought
from tests.audit.harness import step
from tests.db.booking_steps import on_sale
from tests.own_redis import own_redis, process_of
from tests.requests import booking_request, refund_request


async def test_a_seat_that_was_given_back_when_redis_lost_power_is_sold_again(
    reservation: AsyncEngine, stack: Stack
) -> None:
    event, server = await on_sale(reservation), process_of("without-power")
    with own_redis(stack, "without-power") as url:
        async with Redis.from_url(url) as redis:
            locks = SeatLocks(redis)
            steps = ReservationActivities(reservation, locks, HoldQuota(redis, UNLIMITED), WINDOW)
            booking = await bought(steps, event, "A-1-1", "A-1-2")
            await asyncio.to_thread(stack.kill, server)
            refund = refund_request(booking, [booking.tickets[0].id])
            outcome = await step(ReturnedTickets(reservation, locks).accept_refund, refund)
            assert (outcome.problem, outcome.places_shown) == (None, False)
            await asyncio.to_thread(stack.start, server)

            assert (await step(steps.hold, booking_request(event, "A-1-1"))).booking
            problem = (await step(steps.hold, booking_request(event, "A-1-2"))).problem

    assert problem
    assert list(problem.members["seats"]) == ["A-1-2"]
