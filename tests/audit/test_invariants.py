"""Each invariant, its guard broken on a private event: the audit reports exactly that, and by the booking's id."""

from __future__ import annotations

import psycopg
import pytest
from redis.asyncio import Redis

from tests.audit.charges import Charges
from tests.audit.conftest import Auditor
from tests.box_office import BoxOffice

OWNER, COUNTED, PLACES = "a seat has one owner", "every place is counted", "places belong to live bookings"
OWED, AUTHORIZED = "money taken is money owed", "nothing stays authorized"
HOLDS, TOLD_ONCE, STATES = "holds have live bookings", "an end is told once", "states follow from domain events"


async def bought(box_office: BoxOffice, event: str, *seats: str, **quantities: int) -> str:
    return str((await box_office.somebody().bought(event, *seats, quantities=quantities))["id"])


async def cancelled(box_office: BoxOffice, event: str, *seats: str) -> str:
    buyer = box_office.somebody()
    booking = await buyer.held(event, *seats)
    assert (await buyer.cancel(booking)).status_code == 200
    return booking


async def test_a_house_in_use_is_clean(box_office: BoxOffice, auditor: Auditor) -> None:
    event = await box_office.event()
    await bought(box_office, event, "A-1-1", Standing=2)
    await cancelled(box_office, event, "A-1-2")
    await box_office.somebody().held(event, "A-1-3")
    assert await auditor.finds(event) == set()


async def test_a_seat_that_belongs_to_another_than_its_ticket_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    one, two = await bought(box_office, event, "A-1-1"), await bought(box_office, event, "A-1-2")

    def give(seat: str, booking: str) -> None:
        reservation.execute(
            "UPDATE seats SET booking_id = %s WHERE event_id = %s AND name = %s", [booking, event, seat]
        )

    give("A-1-1", two)
    give("A-1-2", one)
    assert await auditor.finds(event) == {
        (OWNER, f"{event} A-1-1", f"{one} has a ticket, {two} the seat"),
        (OWNER, f"{event} A-1-2", f"{two} has a ticket, {one} the seat"),
    }
    give("A-1-1", one)
    give("A-1-2", two)


@pytest.mark.disruptive
async def test_two_live_tickets_for_a_seat_are_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    one, two = await bought(box_office, event, "A-1-1"), await bought(box_office, event, "A-1-2")
    index = reservation.execute(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'one_live_ticket_per_seat'"
    ).fetchone()
    assert index
    reservation.execute("DROP INDEX one_live_ticket_per_seat")
    try:
        reservation.execute("UPDATE tickets SET seat = 'A-1-1' WHERE booking_id = %s", [two])
        found = await auditor.finds(event)
        reservation.execute("UPDATE tickets SET seat = 'A-1-2' WHERE booking_id = %s", [two])
    finally:
        reservation.execute(index[0])
    assert {(invariant, subject) for invariant, subject, _ in found} == {(OWNER, f"{event} A-1-1")}
    assert {frozenset(detail.split(", ")) for _, _, detail in found} >= {frozenset({one, two})}


async def test_a_place_that_is_counted_though_nobody_has_it_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    await bought(box_office, event, Standing=2)

    def miscount(by: int) -> None:
        reservation.execute(
            "UPDATE sections SET claimed = claimed + %s WHERE event_id = %s AND name = 'Standing'", [by, event]
        )

    miscount(1)
    assert await auditor.finds(event) == {(COUNTED, f"{event} Standing", "3 counted, 2 found")}
    miscount(-1)


async def test_a_seat_that_has_vanished_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event(rows=2, seats_per_row=3)
    reservation.execute("DELETE FROM seats WHERE event_id = %s AND name = 'B-2-3'", [event])
    assert await auditor.finds(event) == {(COUNTED, f"{event} B", "6 counted, 5 found")}
    reservation.execute("INSERT INTO seats (event_id, name, section) VALUES (%s, 'B-2-3', 'B')", [event])


async def test_a_booking_that_is_over_and_still_has_a_seat_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await cancelled(box_office, event, "A-1-1")
    change = "UPDATE seats SET status = %s, booking_id = %s WHERE event_id = %s AND name = 'A-1-1'"
    reservation.execute(change, ["claimed", booking, event])
    assert await auditor.invariants_and_subjects(event) == {(PLACES, booking)}
    reservation.execute(change, ["available", None, event])


async def test_a_confirmed_booking_without_its_ticket_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await bought(box_office, event, "A-1-1", Standing=1)
    reservation.execute("UPDATE tickets SET status = 'void' WHERE booking_id = %s AND ordinal = 2", [booking])
    assert await auditor.finds(event) == {(PLACES, booking, "confirmed: 2 asked, 2 owned, 1 tickets")}
    reservation.execute("UPDATE tickets SET status = 'valid' WHERE booking_id = %s", [booking])


async def test_money_taken_twice_is_found(box_office: BoxOffice, auditor: Auditor, charges: Charges) -> None:
    event = await box_office.event()
    booking = await bought(box_office, event, "A-1-1")
    twice = await charges.charge(booking, 5000)
    assert await auditor.finds(event) == {(OWED, booking, "kept 10000, owed 5000")}
    await charges.refund(twice)


async def test_money_that_was_never_taken_is_found(box_office: BoxOffice, auditor: Auditor, charges: Charges) -> None:
    event = await box_office.event()
    booking = await bought(box_office, event, "A-1-1")
    [intent] = await box_office.provider.intents(booking)
    await charges.refund(intent["id"])
    assert await auditor.finds(event) == {(OWED, booking, "kept 0, owed 5000")}
    await charges.charge(booking, 5000)


async def test_money_taken_for_nothing_is_found(box_office: BoxOffice, auditor: Auditor, charges: Charges) -> None:
    event = await box_office.event()
    booking = await cancelled(box_office, event, "A-1-1")
    intent = await charges.charge(booking, 4000)
    assert await auditor.finds(event) == {(OWED, booking, "kept 4000, owed 0")}
    await charges.refund(intent)


async def test_money_that_stays_reserved_after_the_end_is_found(
    box_office: BoxOffice, auditor: Auditor, charges: Charges
) -> None:
    event = await box_office.event()
    booking = await cancelled(box_office, event, "A-1-1")
    intent = await charges.charge(booking, 5000, reserve_only=True)
    assert await auditor.finds(event) == {(AUTHORIZED, booking, f"{intent} reserves 5000")}
    await charges.void(intent)


async def test_a_payment_attempt_that_stays_open_after_the_end_is_found(
    box_office: BoxOffice, auditor: Auditor, payment: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await cancelled(box_office, event, "A-1-1")
    payment.execute(
        "INSERT INTO attempts (booking_id, number, provider, amount, currency) VALUES (%s, 1, 'stripe', 5000, 'EUR')",
        [booking],
    )
    assert await auditor.finds(event) == {(AUTHORIZED, booking, "its attempt is still open")}
    payment.execute("DELETE FROM attempts WHERE booking_id = %s", [booking])


async def test_a_hold_in_redis_of_a_booking_that_is_over_is_found(
    box_office: BoxOffice, auditor: Auditor, redis: Redis
) -> None:
    event = await box_office.event()
    booking = await cancelled(box_office, event, "A-1-1")
    prefix = f"seatwright:{{{event}}}"
    await redis.set(f"{prefix}:seat:A-1-1", booking, ex=60)
    assert await auditor.finds(event) == {(HOLDS, booking, f"{prefix}:seat:A-1-1 is held, booking cancelled")}
    await redis.delete(f"{prefix}:seat:A-1-1")

    await redis.zadd(f"{prefix}:general:Standing:until", {booking: float("inf")})
    assert await auditor.invariants_and_subjects(event) == {(HOLDS, booking)}
    await redis.delete(f"{prefix}:general:Standing:until")


async def test_a_hold_in_redis_without_an_end_is_found_unless_its_seat_is_sold(
    box_office: BoxOffice, auditor: Auditor, redis: Redis
) -> None:
    event = await box_office.event()
    sold, held = await bought(box_office, event, "A-1-1"), await box_office.somebody().held(event, "A-1-2")
    prefix = f"seatwright:{{{event}}}:seat"
    await redis.mset({f"{prefix}:A-1-1": sold, f"{prefix}:A-1-2": held})
    assert await auditor.finds(event) == {(HOLDS, held, f"{prefix}:A-1-2 is without an end, booking held")}
    await redis.delete(f"{prefix}:A-1-1", f"{prefix}:A-1-2")


async def test_an_end_that_is_never_told_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await cancelled(box_office, event, "A-1-1")
    retell(reservation, booking, 2, "booking.paying")
    assert await auditor.finds(event) == {(TOLD_ONCE, booking, "cancelled, told 0 times")}
    retell(reservation, booking, 2, "booking.cancelled")


async def test_an_end_that_is_told_twice_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await bought(box_office, event, "A-1-1")
    retell(reservation, booking, 2, "booking.expired")
    assert await auditor.finds(event) == {(TOLD_ONCE, booking, "confirmed, told 2 times")}
    retell(reservation, booking, 2, "booking.paying")


def retell(reservation: psycopg.Connection, booking: str, sequence: int, type: str) -> None:
    reservation.execute(
        "UPDATE domain_events SET type = %s WHERE aggregate_id = %s AND sequence = %s", [type, booking, sequence]
    )


async def test_a_state_that_no_domain_event_tells_of_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await box_office.somebody().held(event, "A-1-1")
    for column, wrong, right in (("status", "paying", "held"), ("version", 2, 1), ("amount", 1, 5000)):
        change = f"UPDATE bookings SET {column} = %s WHERE id = %s"
        reservation.execute(change, [wrong, booking])
        found = await auditor.invariants_and_subjects(event)
        reservation.execute(change, [right, booking])
        assert found == {(STATES, booking)}, column


async def test_a_history_with_a_gap_or_an_illegal_step_is_found(
    box_office: BoxOffice, auditor: Auditor, reservation: psycopg.Connection
) -> None:
    event = await box_office.event()
    booking = await bought(box_office, event, "A-1-1")

    def claim_that_it_was(status: str) -> None:
        reservation.execute(
            "UPDATE domain_events SET data = jsonb_set(data, '{status}', to_jsonb(%s::text))"
            " WHERE aggregate_id = %s AND sequence = 2",
            [status, booking],
        )

    claim_that_it_was("cancelled")
    assert await auditor.finds(event) == {(STATES, booking, "a booking cannot go from cancelled to confirmed")}
    claim_that_it_was("paying")

    renumber = "UPDATE domain_events SET sequence = %s WHERE aggregate_id = %s AND sequence = %s"
    reservation.execute(renumber, [4, booking, 3])
    assert await auditor.finds(event) == {(STATES, booking, "version 3, but its domain events are [1, 2, 4]")}
    reservation.execute(renumber, [3, booking, 4])
