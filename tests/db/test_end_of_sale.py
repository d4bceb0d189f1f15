"""A cancellation ends a sale at once, however many buyers come one after the other without a pause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.reservation import inventory
from db.reservation.bookings import bookings
from domain.bookings import Booking, BookingRequest, BookingStatus
from domain.problems import ProblemType, Refused
from tests.db.booking_steps import an_event, claim, move
from tests.db.rush import Step as OneStep
from tests.db.rush import rush
from tests.waiting import in_time

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
async def test_a_rush_does_not_put_off_the_end_of_a_sale(
    reservation: AsyncEngine, reservation_url: str, step: str
) -> None:
    event = an_event()
    async with reservation.begin() as connection:
        await inventory.put_on_sale(connection, event)
    made = [await claim(reservation, event.id, f"A-1-{n}") for n in range(1, BUYERS + 1)]
    paying = [await move(reservation, each, BookingStatus.PAYING) for each in made]

    def again(booking: Booking) -> OneStep:
        return lambda connection: STEPS[step](connection, booking)

    async with rush(reservation_url, [again(each) for each in paying]) as buyers:
        async with reservation.begin() as connection:
            await in_time(inventory.stop_selling(connection, event), within=4)
        assert {await in_time(each) for each in buyers} == {ProblemType.EVENT_NOT_ON_SALE}


async def test_the_gate_is_of_one_event_alone(reservation: AsyncEngine) -> None:
    one, other = an_event(), an_event()
    async with reservation.begin() as connection:
        for event in (one, other):
            await inventory.put_on_sale(connection, event)
    async with reservation.begin() as cancelling:
        await inventory.stop_selling(cancelling, one)
        booking = await in_time(claim(reservation, other.id, "A-1-1"), within=4)
    assert booking.event_id == other.id


async def test_an_event_that_has_begun_is_not_put_on_sale_and_a_copy_from_before_stays(
    reservation: AsyncEngine,
) -> None:
    event = an_event()
    begun = event.model_copy(update={"starts_at": datetime.now(UTC) - timedelta(seconds=1)})
    with pytest.raises(Refused):
        async with reservation.begin() as connection:
            await inventory.put_on_sale(connection, begun)
    async with reservation.begin() as connection:
        assert await inventory.stock(connection, event.id) is None
        await inventory.put_on_sale(connection, event)
        await inventory.put_on_sale(connection, begun)
        assert await inventory.stock(connection, event.id)
