"""Who has which place is decided here, also when all come at once and when every other guard has failed."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import psycopg
import pytest
from psycopg.errors import CheckViolation, UniqueViolation
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.bookings import Booking, BookingStatus
from domain.problems import ProblemType, Refused
from tests.db.booking_steps import claim, confirm, find, give_back, move, on_sale
from tests.scale import FULL


def places_taken(by_hand: psycopg.Connection) -> tuple[int, int, int]:
    """Seats with an owner, general-admission places by the sections' counters, and the same by claims."""
    row = by_hand.execute(
        "SELECT (SELECT count(*) FROM seats WHERE booking_id IS NOT NULL), (SELECT sum(claimed) FROM sections),"
        " (SELECT coalesce(sum(quantity), 0) FROM general_claims)"
    ).fetchone()
    assert row
    return row[0], row[1], row[2]


async def test_a_seat_that_is_claimed_is_refused_by_name_and_nothing_else_is_taken(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    event = await on_sale(reservation)
    await claim(reservation, event, "A-1-2")
    with pytest.raises(Refused) as refused:
        await claim(reservation, event, "A-1-1", "A-1-2", "A-1-3", Standing=2)
    assert refused.value.problem.type is ProblemType.SEATS_UNAVAILABLE
    assert refused.value.problem.members["seats"] == ["A-1-2"]
    assert places_taken(by_hand) == (1, 0, 0)


async def test_a_sold_seat_is_refused_and_one_that_was_given_back_is_not(reservation: AsyncEngine) -> None:
    event = await on_sale(reservation)
    sold = await move(reservation, await claim(reservation, event, "A-1-1"), BookingStatus.PAYING)
    await confirm(reservation, sold)
    with pytest.raises(Refused):
        await claim(reservation, event, "A-1-1")
    other = await claim(reservation, event, "A-1-2")
    await give_back(reservation, other)
    assert (await claim(reservation, event, "A-1-2")).id != other.id


async def test_claims_of_the_same_seats_in_opposite_orders_never_deadlock(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    seats = [f"A-1-{number}" for number in range(1, 11)]
    dice = random.Random(20261123)
    won = 0
    for _ in range(8 if FULL else 4):
        event = await on_sale(reservation, standing=4)
        wishes = [dice.sample(seats, 4) for _ in range(6)]
        wishes += [wish[::-1] for wish in wishes]
        outcomes = await asyncio.gather(
            *(claim(reservation, event, *wish, Garden=1, Standing=1) for wish in wishes), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} <= {Booking, Refused}, outcomes
        winners = [outcome for outcome in outcomes if isinstance(outcome, Booking)]
        won += len(winners)
        owned = [seat for booking in winners for seat in booking.seats]
        assert winners
        assert len(owned) == len(set(owned))
    assert places_taken(by_hand) == (4 * won, 2 * won, 2 * won)


@pytest.mark.parametrize("plan", ["as it comes", "enable_nestloop", "enable_hashjoin"])
async def test_claiming_and_giving_back_at_the_same_time_never_deadlocks_and_loses_no_place(
    reservation: AsyncEngine, by_hand: psycopg.Connection, plan: str
) -> None:
    if plan.startswith("enable_"):
        by_hand.execute(f'ALTER ROLE CURRENT_USER IN DATABASE "{by_hand.info.dbname}" SET {plan} = off')
    event = await on_sale(reservation, standing=6)
    by_hand.execute("UPDATE sections SET price = price WHERE name = 'Garden'")  # now it lies behind Standing

    async def come_and_go() -> None:
        for _ in range(12 if FULL else 4):
            with suppress(Refused):
                await give_back(reservation, await claim(reservation, event, "A-1-1", "A-1-2", Standing=2, Garden=2))
            with suppress(Refused):
                await give_back(reservation, await claim(reservation, event, Garden=1, Standing=1))

    await asyncio.gather(*(come_and_go() for _ in range(10)))
    assert places_taken(by_hand) == (0, 0, 0)


async def test_general_admission_never_passes_its_capacity_though_the_guard_is_bypassed(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    await on_sale(reservation, standing=10)
    with pytest.raises(CheckViolation, match="never_more_than_capacity"):
        by_hand.execute("UPDATE sections SET claimed = 11 WHERE name = 'Standing'")
    with pytest.raises(CheckViolation):
        by_hand.execute("UPDATE sections SET claimed = -1 WHERE name = 'Standing'")


async def test_of_a_crowd_for_general_admission_exactly_its_capacity_gets_in(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    event = await on_sale(reservation, standing=10)
    crowd = (claim(reservation, event, Standing=1) for _ in range(20))  # as many as the pool has connections
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(Booking) == 10
    assert {type(outcome) for outcome in outcomes} == {Booking, Refused}
    assert places_taken(by_hand) == (0, 10, 10)


async def test_a_seat_never_has_two_live_tickets_though_the_guard_is_bypassed(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    event = await on_sale(reservation)
    first = await confirm(
        reservation, await move(reservation, await claim(reservation, event, "A-1-1"), BookingStatus.PAYING)
    )
    second = await claim(reservation, event, "A-1-2")
    twin = (
        "INSERT INTO tickets (booking_id, event_id, section, seat, ordinal, status)"
        " VALUES (%s, %s, 'A', 'A-1-1', 9, %s)"
    )
    with pytest.raises(UniqueViolation, match="one_live_ticket_per_seat"):
        by_hand.execute(twin, [second.id, event, "valid"])
    by_hand.execute(twin, [second.id, event, "void"])
    assert (await find(reservation, first)).tickets == first.tickets


async def test_a_taken_seat_has_an_owner_and_a_free_one_has_none(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    booking = await claim(reservation, await on_sale(reservation), "A-1-1")
    for nonsense in (
        "UPDATE seats SET status = 'available' WHERE name = 'A-1-1'",
        "UPDATE seats SET booking_id = NULL WHERE name = 'A-1-1'",
        "UPDATE seats SET status = 'sold' WHERE name = 'A-1-2'",
    ):
        with pytest.raises(CheckViolation):
            by_hand.execute(nonsense)
    assert (await find(reservation, booking)).seats == ("A-1-1",)
