"""With each guard of seats broken, the audit names the booking with a wrong seat."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from activities.reservation.bookings import Step
from domain.bookings import BookingStatus
from tests.audit.harness import Harness, step
from tests.db import booking_steps as by_the_row
from tests.scale import sample

OWNER, COUNTED, PLACES = "a seat has one owner", "every place is counted", "places belong to live bookings"
KNOWN = "redis has every taken place"


@pytest.mark.thorough  # each module of tests/scenarios ends with an audit of houses in use
async def test_a_house_in_use_is_clean(harness: Harness) -> None:
    one, two = await harness.bought("A-1-1", "A-1-2"), await harness.held("A-1-3", Standing=2)
    await harness.cancelled("A-1-4", Garden=1)
    await harness.saga(two)
    await harness.analyse(await harness.relay())
    harness.notify()
    assert await harness.finds() == set()
    assert one.status is BookingStatus.CONFIRMED


async def test_a_seat_sold_twice_is_found_without_the_unique_index(harness: Harness) -> None:
    first = await harness.bought("A-1-1")
    await harness.sql(
        "reservation", "UPDATE seats SET status = 'available', booking_id = NULL WHERE booking_id = :id", id=first.id
    )
    await harness.redis.delete(f"seatwright:{{{harness.event}}}:seat:A-1-1")
    second = await harness.authorized("A-1-1")
    assert await step(harness.seats().commit, Step(booking=second)) is None
    await step(harness.money().capture, second.id)
    with pytest.raises(IntegrityError, match="one_live_ticket_per_seat"):
        await step(harness.seats().issue, Step(booking=second))
    await harness.sql("reservation", "DROP INDEX one_live_ticket_per_seat")
    await step(harness.seats().issue, Step(booking=second))
    assert await harness.finds() == {(OWNER, f"{harness.event} A-1-1"), (PLACES, str(first.id))}


async def test_a_place_that_is_counted_but_not_claimed_is_found(harness: Harness) -> None:
    await harness.sql(
        "reservation",
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    )
    await harness.sql(
        "reservation", "CREATE TRIGGER lose BEFORE INSERT ON general_claims FOR EACH ROW EXECUTE FUNCTION lose()"
    )
    booking = await harness.held(Standing=2)
    await harness.saga(booking)
    of_the_booking = {(check, str(booking.id)) for check in (PLACES, KNOWN)}
    assert await harness.finds() == {(COUNTED, f"{harness.event} Standing")} | of_the_booking


async def test_an_end_that_leaves_the_places_behind_is_found(harness: Harness) -> None:
    booking = await by_the_row.claim(harness.database("reservation"), harness.event, "A-1-1")
    await by_the_row.move(harness.database("reservation"), booking, BookingStatus.CANCELLED)
    assert await harness.finds() == {(PLACES, str(booking.id))}


async def test_an_audit_of_some_events_finds_what_is_broken_in_each_and_in_no_other(harness: Harness) -> None:
    engine = harness.database("reservation")
    events = [harness.event, await by_the_row.on_sale(engine), await by_the_row.on_sale(engine)]
    broken = [await by_the_row.claim(engine, event, "A-1-1") for event in events]
    for booking in broken:
        await by_the_row.move(engine, booking, BookingStatus.CANCELLED)
    for chosen in sample([[0], [1], [0, 1], [1, 2]], 2, of="scopes of an audit"):
        scope = harness.connections._replace(event_ids=[events[each] for each in chosen])
        assert await harness._replace(connections=scope).finds() == {(PLACES, str(broken[each].id)) for each in chosen}
