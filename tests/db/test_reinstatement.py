"""A booking that expired comes back with all its places or not at all, once, and only from where it was."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.reservation.bookings import bookings, outcomes, reinstatement
from db.reservation.bookings.bookings import StaleStep
from domain.bookings import Booking, BookingStatus
from domain.problems import Refused
from domain.rebuilding import rebuild
from tests.db.booking_steps import claim, find, give_back, history, move, on_sale
from tests.db.sharing import reservation_url
from tests.waiting import eventually

__all__ = ["reservation_url"]

WINDOW = timedelta(seconds=60)


async def expired(engine: AsyncEngine, *seats: str) -> Booking:
    booking = await claim(engine, await on_sale(engine), *seats)
    booking = await move(engine, booking, BookingStatus.EXPIRED)
    await give_back(engine, booking)
    return booking


async def reinstate(engine: AsyncEngine, booking: Booking, *seats: str) -> Booking:
    async with engine.begin() as connection:
        return await reinstatement.reinstate(connection, booking, seats or booking.seats, WINDOW)


async def test_a_reinstated_booking_has_its_places_and_its_history_tells_it(reservation: AsyncEngine) -> None:
    booking = await expired(reservation, "A-1-1")
    back = await reinstate(reservation, booking, "A-1-2")
    assert (back.status, back.seats, back.version) == (BookingStatus.PAYING, ("A-1-2",), booking.version + 1)
    assert back.expires_at > booking.expires_at - timedelta(seconds=120)
    assert rebuild(await history(reservation, booking)) == back


async def test_a_repeated_reinstatement_changes_nothing(reservation: AsyncEngine) -> None:
    booking = await expired(reservation, "A-1-1")
    first = await reinstate(reservation, booking)
    assert await reinstate(reservation, booking) == first
    assert len(await history(reservation, booking)) == first.version


async def test_two_at_once_make_one(reservation: AsyncEngine) -> None:
    booking = await expired(reservation, "A-1-1")
    made = await asyncio.gather(*(reinstate(reservation, booking) for _ in range(4)), return_exceptions=True)
    assert all(isinstance(each, Booking) for each in made), made
    assert (await find(reservation, booking)).version == booking.version + 1


async def test_places_that_others_have_are_left_to_them(reservation: AsyncEngine) -> None:
    booking = await expired(reservation, "A-1-1", "A-1-2")
    await claim(reservation, booking.event_id, "A-1-2")
    with pytest.raises(Refused):
        await reinstate(reservation, booking)
    assert await find(reservation, booking) == booking


@pytest.mark.parametrize("status", [BookingStatus.CANCELLED, BookingStatus.FAILED])
async def test_only_what_has_expired_comes_back(reservation: AsyncEngine, status: BookingStatus) -> None:
    booking = await claim(reservation, await on_sale(reservation), "A-1-1")
    booking = await move(reservation, booking, status)
    await give_back(reservation, booking)
    with pytest.raises(StaleStep):
        await reinstate(reservation, booking)


async def end(engine: AsyncEngine, booking: Booking) -> Booking:
    async with engine.begin() as connection:
        return await outcomes.end(connection, booking, BookingStatus.EXPIRED)


async def test_a_repeated_end_frees_no_place_that_was_sold_to_the_booking_since(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    held = await claim(reservation, await on_sale(reservation), "A-1-1")
    expired = await end(reservation, held)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'general_claims'::regclass"
    with by_hand.transaction():
        by_hand.execute("LOCK TABLE general_claims")  # where a repetition would stand still before it frees anything
        again = asyncio.create_task(end(reservation, held))
        await eventually(lambda: again.done() or by_hand.execute(waiting).fetchone() == (1,))
        back = await reinstate(reservation, expired)
        async with reservation.begin() as connection:
            await bookings.sell(connection, back)

    assert await again == expired
    seat = by_hand.execute("SELECT status, booking_id FROM seats WHERE booking_id = %s", [held.id]).fetchone()
    assert seat == ("sold", held.id)
