"""What a booking's time limit means to Postgres: no claim without a caller that waits, and none that is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.reservation.bookings import bookings, requests
from domain.bookings import Booking, BookingRequest, BookingStatus
from domain.problems import ProblemType, Refused
from tests.db.booking_steps import claim, confirm, move, on_sale

PAST, FUTURE = datetime.now(UTC) - timedelta(minutes=1), datetime.now(UTC) + timedelta(days=1)


async def claimed(engine: AsyncEngine, request: BookingRequest) -> Booking:
    async with engine.begin() as connection:
        return await bookings.claim(connection, request)


async def unfinished(engine: AsyncEngine, *, overdue: timedelta, limit: int = 100) -> list[BookingRequest]:
    async with engine.connect() as connection:
        return await requests.find_unfinished(connection, overdue=overdue, limit=limit)


async def request(engine: AsyncEngine, not_after: datetime | None) -> BookingRequest:
    return BookingRequest(
        id=uuid4(),
        user_id=uuid4(),
        event_id=await on_sale(engine),
        seats=("A-1-1",),
        quantities={"Standing": 2},
        body_sha256="of the body",
        hold_seconds=120,
        not_after=not_after,
    )


async def test_a_request_whose_caller_has_left_claims_nothing(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    late = await request(reservation, PAST)
    with pytest.raises(Refused) as refused:
        await claimed(reservation, late)
    assert refused.value.problem.type is ProblemType.UNAVAILABLE  # so that the caller makes it again
    assert by_hand.execute("SELECT count(*) FROM bookings").fetchone() == (0,)
    assert by_hand.execute("SELECT count(*) FROM seats WHERE booking_id IS NOT NULL").fetchone() == (0,)


async def test_a_request_in_time_is_claimed_and_its_late_repetition_finds_the_booking(reservation: AsyncEngine) -> None:
    in_time = await request(reservation, FUTURE)
    booking = await claimed(reservation, in_time)
    assert booking.status is BookingStatus.HELD
    async with reservation.connect() as connection:
        assert await requests.count_held_places(connection) == 3  # a seat, and two that stand
    assert await claimed(reservation, in_time.model_copy(update={"not_after": PAST})) == booking


async def test_a_booking_whose_time_is_long_up_is_found_as_it_was_asked_for(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    asked = await request(reservation, FUTURE)
    await claimed(reservation, asked)
    assert await unfinished(reservation, overdue=timedelta(0)) == []

    by_hand.execute("UPDATE bookings SET expires_at = now() - interval '1 hour'")
    assert await unfinished(reservation, overdue=timedelta(minutes=61)) == []
    assert await unfinished(reservation, overdue=timedelta(minutes=59)) == [
        asked.model_copy(update={"not_after": None})
    ]


async def test_the_longest_forgotten_come_first_and_what_has_ended_is_left_alone(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    event = await on_sale(reservation)
    booked = [await claim(reservation, event, f"A-1-{number}") for number in range(1, 7)]
    held, paying, acting, attention, confirmed, expired = booked
    await move(reservation, paying, BookingStatus.PAYING)
    await move(reservation, await move(reservation, acting, BookingStatus.PAYING), BookingStatus.ACTION_REQUIRED)
    await move(reservation, attention, BookingStatus.NEEDS_ATTENTION)
    await confirm(reservation, await move(reservation, confirmed, BookingStatus.PAYING))
    await move(reservation, expired, BookingStatus.EXPIRED)
    for hours, booking in enumerate(booked, start=1):
        by_hand.execute(
            "UPDATE bookings SET expires_at = now() - %s * interval '1h' WHERE id = %s", [hours, booking.id]
        )

    found = {each.id for each in await unfinished(reservation, overdue=timedelta(minutes=1))}
    assert found == {attention.id, acting.id, paying.id, held.id}
    async with reservation.connect() as connection:
        assert await requests.count_parked(connection) == 1
        assert await requests.count_held_places(connection) == 3  # held, paying and acting have a seat each
    assert len(await unfinished(reservation, overdue=timedelta(0), limit=2)) == 2
