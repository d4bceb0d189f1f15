"""The guards of seats in Postgres, each broken: the audit says which booking has what is not its own."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from activities.reservation.bookings import Step
from domain.bookings import BookingStatus
from tests.audit.house import House, step
from tests.db import house as by_the_row

OWNER, COUNTED, PLACES = "a seat has one owner", "every place is counted", "places belong to live bookings"
KNOWN = "redis knows what is taken"


async def test_a_house_in_use_is_clean(house: House) -> None:
    one, two = await house.bought("A-1-1", "A-1-2"), await house.held("A-1-3", Standing=2)
    await house.cancelled("A-1-4", Garden=1)
    await house.saga(two)
    await house.analyse(await house.relay())
    house.notify()
    assert await house.finds() == set()
    assert one.status is BookingStatus.CONFIRMED


async def test_a_seat_sold_twice_is_found_where_no_index_forbids_a_second_ticket(house: House) -> None:
    first = await house.bought("A-1-1")
    await house.sql(
        "reservation", "UPDATE seats SET status = 'available', booking_id = NULL WHERE booking_id = :id", id=first.id
    )
    await house.redis.delete(f"seatwright:{{{house.event}}}:seat:A-1-1")
    second = await house.authorized("A-1-1")
    assert await step(house.seats().commit, Step(booking=second)) is None
    await step(house.money().capture, second.id)
    with pytest.raises(IntegrityError, match="one_live_ticket_per_seat"):
        await step(house.seats().issue, Step(booking=second))
    await house.sql("reservation", "DROP INDEX one_live_ticket_per_seat")
    await step(house.seats().issue, Step(booking=second))
    assert await house.finds() == {(OWNER, f"{house.event} A-1-1"), (PLACES, str(first.id))}


async def test_a_place_that_is_counted_and_claimed_by_nobody_is_found(house: House) -> None:
    await house.sql(
        "reservation",
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    )
    await house.sql(
        "reservation", "CREATE TRIGGER lose BEFORE INSERT ON general_claims FOR EACH ROW EXECUTE FUNCTION lose()"
    )
    booking = await house.held(Standing=2)
    await house.saga(booking)
    of_the_booking = {(check, str(booking.id)) for check in (PLACES, KNOWN)}
    assert await house.finds() == {(COUNTED, f"{house.event} Standing")} | of_the_booking


async def test_an_end_that_leaves_the_places_behind_is_found(house: House) -> None:
    booking = await by_the_row.claim(house.database("reservation"), house.event, "A-1-1")
    await by_the_row.move(house.database("reservation"), booking, BookingStatus.CANCELLED)
    assert await house.finds() == {(PLACES, str(booking.id))}
