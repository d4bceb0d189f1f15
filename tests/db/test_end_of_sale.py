"""A cancellation ends a sale at once, however many buyers come one after the other without a pause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.engine import open_engine
from db.reservation import inventory
from db.reservation.bookings import bookings
from domain.bookings import Booking, BookingRequest, BookingStatus
from domain.problems import ProblemType, Refused
from tests.db.booking_steps import an_event, claim, move
from tests.waiting import eventually, in_time

BUYERS = 10
Step = Callable[[AsyncConnection, Booking], Awaitable[object]]


async def claims_again(connection: AsyncConnection, booking: Booking) -> None:
    await bookings.claim(connection, booking_request_of(booking))


def booking_request_of(booking: Booking) -> BookingRequest:
    return BookingRequest(
        id=booking.id,
        user_id=booking.user_id,
        event_id=booking.event_id,
        seats=booking.seats,
        quantities=booking.quantities,
        body_sha256="",
        hold_seconds=60,
    )


STEPS: dict[str, Step] = {"holds": claims_again, "sales": bookings.sell}


@pytest.mark.parametrize("step", STEPS)
async def test_a_rush_does_not_put_off_the_end_of_a_sale(reservation_url: str, step: str) -> None:
    engine = open_engine(reservation_url, pool_size=BUYERS + 2, serves_callers=False)
    event, ended = an_event(), list[ProblemType]()
    async with engine.begin() as connection:
        await inventory.put_on_sale(connection, event)
    made = [await claim(engine, event.id, f"A-1-{n}") for n in range(1, BUYERS + 1)]
    paying = [await move(engine, each, BookingStatus.PAYING) for each in made]
    rush = [asyncio.create_task(buys_again_and_again(engine, each, STEPS[step])) for each in paying]
    await eventually(lambda: is_in_full_swing(engine))
    async with engine.begin() as connection:
        await in_time(inventory.stop_selling(connection, event), within=4)
    ended += [await in_time(each) for each in rush]
    assert set(ended) == {ProblemType.EVENT_NOT_ON_SALE}
    await engine.dispose()


async def buys_again_and_again(engine: AsyncEngine, booking: Booking, step: Step) -> ProblemType:
    """Until it is refused; each transaction takes its time, and is rolled back."""
    while True:
        async with engine.connect() as connection:
            try:
                await step(connection, booking)
            except Refused as refused:
                return refused.problem.type
            await connection.execute(text("SELECT pg_sleep(0.02 + 0.02 * random())"))
            await connection.rollback()


async def is_in_full_swing(engine: AsyncEngine) -> bool:
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    async with engine.connect() as connection:
        return bool((await connection.execute(text(asleep))).scalar_one() >= BUYERS // 2)


async def test_the_gate_is_of_one_event_alone(reservation: AsyncEngine) -> None:
    one, other = an_event(), an_event()
    async with reservation.begin() as connection:
        for event in (one, other):
            await inventory.put_on_sale(connection, event)
    async with reservation.begin() as cancelling:
        await inventory.stop_selling(cancelling, one)
        booking = await in_time(claim(reservation, other.id, "A-1-1"), within=4)
    assert booking.event_id == other.id
