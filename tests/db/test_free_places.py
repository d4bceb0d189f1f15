"""One user has only so many places of an event that cost nothing, also by claims at the same time."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.reservation.bookings import bookings, outcomes
from db.reservation.exchanges import exchanges
from domain.bookings import Booking, BookingPolicy, BookingStatus
from domain.problems import ProblemType, Refused
from tests.db.booking_steps import confirm, move, on_sale
from tests.requests import booking_request, exchange_request

MOST = 4


@pytest.fixture
async def event(reservation: AsyncEngine) -> UUID:
    """An event whose garden and whose seats cost nothing; `Standing` costs something."""
    event = await on_sale(reservation, standing=40)
    async with reservation.begin() as connection:
        free = text("UPDATE sections SET price = 0 WHERE event_id = :event AND name IN ('A', 'Garden')")
        await connection.execute(free, {"event": event})
    return event


async def claim(
    engine: AsyncEngine, event: UUID, user: UUID, *seats: str, most: int = MOST, **quantities: int
) -> Booking | None:
    """A booking of these places, or None if they are too many."""
    asked = booking_request(event, *seats, **quantities)
    try:
        async with engine.begin() as connection:
            policy = BookingPolicy(free_places=most)
            booking = await bookings.claim(connection, asked.model_copy(update={"user_id": user, "policy": policy}))
            await asyncio.sleep(0)
    except Refused as refused:
        if refused.problem.type is not ProblemType.WRONG_STATE:
            raise
        return None
    else:
        return booking


async def sold(engine: AsyncEngine, booking: Booking) -> Booking:
    return await confirm(engine, await move(engine, booking, BookingStatus.PAYING))


async def test_claims_at_the_same_time_do_not_exceed_what_one_user_may_have(
    reservation: AsyncEngine, event: UUID
) -> None:
    users = uuid4(), uuid4()
    made = await asyncio.gather(
        *(claim(reservation, event, user, Garden=1, Standing=1) for user in users for _ in range(9))
    )
    assert [sum(booking is not None for booking in made[start : start + 9]) for start in (0, 9)] == [MOST, MOST]


async def test_what_is_held_and_what_is_confirmed_counts_for_its_user_in_this_event(
    reservation: AsyncEngine, event: UUID
) -> None:
    user, other_event = uuid4(), await on_sale(reservation)
    held = await claim(reservation, event, user, "A-1-1", Garden=1)
    confirmed = await claim(reservation, event, user, "A-1-2", Garden=1)
    assert held
    assert confirmed
    await sold(reservation, confirmed)
    assert await claim(reservation, event, user, Garden=1) is None
    assert await claim(reservation, event, user, "A-1-3") is None
    assert await claim(reservation, event, user, Standing=9), "it is paid for"
    assert await claim(reservation, other_event, user, Garden=9)
    assert await claim(reservation, event, uuid4(), Garden=MOST)
    assert await claim(reservation, event, user, Garden=1, most=0), "there is no limit"


async def test_places_that_were_given_back_count_no_more(reservation: AsyncEngine, event: UUID) -> None:
    user = uuid4()
    held = await claim(reservation, event, user, "A-1-1", Garden=MOST - 1)
    assert held
    assert await claim(reservation, event, user, Garden=1) is None
    async with reservation.begin() as connection:
        await outcomes.end(connection, held, BookingStatus.EXPIRED)
    assert await claim(reservation, event, user, Garden=MOST)


async def test_an_exchange_for_a_seat_that_costs_nothing_counts_like_a_claim(
    reservation: AsyncEngine, event: UUID
) -> None:
    user = uuid4()
    async with reservation.begin() as connection:
        paid = (
            "INSERT INTO sections (event_id, name, kind, price, rows, seats_per_row, capacity, claimed, position)"
            " VALUES (:event, 'P', 'seated', 900, 1, 1, 1, 0, 9)"
        )
        await connection.execute(text(paid), {"event": event})
        seat = "INSERT INTO seats (event_id, name, section) VALUES (:event, 'P-1-1', 'P')"
        await connection.execute(text(seat), {"event": event})
    booking = await claim(reservation, event, user, "P-1-1", "A-1-1", Garden=MOST - 1)
    assert booking
    booking = await sold(reservation, booking)
    tickets = {ticket.seat: ticket.id for ticket in booking.tickets}

    async def exchanged(old: str, new: str, most: int = MOST) -> bool:
        request = exchange_request(booking, tickets[old], new).model_copy(update={"free_places": most})
        try:
            async with reservation.begin() as connection:
                await exchanges.begin(connection, request)
                await exchanges.swap(connection, request.id)
        except Refused as refused:
            if refused.problem.type is not ProblemType.WRONG_STATE:
                raise
            return False
        return True

    assert not await exchanged("P-1-1", "A-1-2")
    assert await exchanged("A-1-1", "A-1-2"), "one for one"
    assert await exchanged("P-1-1", "A-1-3", most=MOST + 1)
