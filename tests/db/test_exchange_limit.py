"""A booking has a limited number of exchanges, so that what every answer about it reads stays small."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.reservation.bookings.facts import facts_of
from db.reservation.bookings.history import MOST_EVENTS, domain_events
from db.reservation.exchanges import exchanges, history, plans
from domain.booking_details import BookingDetails, describe
from domain.bookings import Booking, BookingStatus
from domain.exchanges import MOST_EXCHANGES, MOST_SHOWN, Exchange, ExchangeRequest, ExchangeState
from domain.problems import Problem, ProblemType, Refused
from tests.db.booking_steps import claim, confirm, find, move, on_sale
from tests.db.sharing import reservation_url

__all__ = ["reservation_url"]

SEATS = ("A-1-1", "A-1-2")


async def a_paid_booking(engine: AsyncEngine) -> Booking:
    held = await claim(engine, await on_sale(engine), SEATS[0], "A-1-5")
    return await confirm(engine, await move(engine, held, BookingStatus.PAYING))


async def begun(engine: AsyncEngine, booking: Booking) -> Exchange:
    """An exchange to the other one of the two seats, which cost the same."""
    ticket = next(each for each in (await find(engine, booking)).tickets if each.seat in SEATS)
    [seat] = set(SEATS) - {ticket.seat}
    request = ExchangeRequest(
        id=uuid4(), booking_id=booking.id, event_id=booking.event_id, requested_by=booking.user_id, ticket=ticket.id,
        seat=seat, payment=None, deadline=datetime.now(UTC) + timedelta(minutes=1), body_sha256="", attempts=1,
        window=timedelta(minutes=1),
    )  # fmt: skip
    async with engine.begin() as connection:
        return await exchanges.begin(connection, request)


async def exchange(engine: AsyncEngine, booking: Booking, times: int = 1) -> None:
    for _ in range(times):
        started = await begun(engine, booking)
        async with engine.begin() as connection:
            assert (await exchanges.swap(connection, started.id)).state is ExchangeState.COMPLETED


async def details(engine: AsyncEngine, booking: Booking) -> BookingDetails:
    async with engine.connect() as connection:
        return describe(*(await facts_of(connection, [booking.id]))[booking.id])


async def test_after_twenty_exchanges_one_more_is_refused_and_nothing_changes(reservation: AsyncEngine) -> None:
    booking = await a_paid_booking(reservation)
    failed = await begun(reservation, booking)
    async with reservation.begin() as connection:
        await exchanges.fail(connection, failed.id, Problem(type=ProblemType.EXCHANGE_FAILED, detail="abandoned"))
    await exchange(reservation, booking, MOST_EXCHANGES)
    before = await details(reservation, booking)
    assert len(before.void_tickets) == MOST_EXCHANGES

    with pytest.raises(Refused, match="20 times") as refused:
        await begun(reservation, booking)

    assert refused.value.problem.type is ProblemType.EXCHANGE_NOT_ALLOWED
    assert await details(reservation, booking) == before
    async with reservation.connect() as connection:
        with pytest.raises(Refused, match="20 times"):
            await plans.plan_seats(connection, booking.id, before.tickets[-1].id, "A-1-3")


async def test_the_limit_of_one_booking_is_not_that_of_another(reservation: AsyncEngine) -> None:
    full, other = [await a_paid_booking(reservation) for _ in range(2)]
    await exchange(reservation, full, MOST_EXCHANGES)
    await exchange(reservation, other)
    assert len((await details(reservation, other)).void_tickets) == 1


async def test_of_a_booking_over_the_limit_the_newest_void_tickets_and_all_refunded_ones_are_shown(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    booking = await a_paid_booking(reservation)
    refund = a_refunded_ticket(by_hand, booking)
    by_hand.execute(
        "INSERT INTO tickets (booking_id, event_id, section, seat, ordinal, status)"
        " SELECT %s, %s, 'A', 'A-1-' || (1 + n %% 2), 100 + n, 'void' FROM generate_series(1, 1000) n",
        [booking.id, booking.event_id],
    )

    shown = await details(reservation, booking)

    assert {each.id for each in shown.tickets} == {each.id for each in booking.tickets}
    assert [each.refund_id for each in shown.void_tickets] == [refund] + MOST_EXCHANGES * [None]
    newest = by_hand.execute(
        "SELECT id FROM tickets WHERE booking_id = %s AND ordinal > %s ORDER BY ordinal", [booking.id, 1100 - 20]
    )
    assert [each.id for each in shown.void_tickets[1:]] == [row[0] for row in newest.fetchall()]


def a_refunded_ticket(by_hand: psycopg.Connection, booking: Booking) -> UUID:
    """A ticket that a refund made void long ago; the refund's id."""
    refund = uuid4()
    by_hand.execute(
        "INSERT INTO refunds (id, booking_id, requested_by, cause, reason, amount, fee, currency, body_sha256, state,"
        " settled_at) VALUES (%s, %s, %s, 'buyer', '', 5000, 0, 'EUR', '', 'succeeded', now())",
        [refund, booking.id, booking.user_id],
    )
    by_hand.execute(
        "INSERT INTO tickets (booking_id, event_id, section, seat, ordinal, status, refund_id)"
        " VALUES (%s, %s, 'A', 'A-1-9', 50, 'void', %s)",
        [booking.id, booking.event_id, refund],
    )
    return refund


async def test_the_newest_exchanges_are_listed_oldest_first(
    reservation: AsyncEngine, by_hand: psycopg.Connection
) -> None:
    booking = await a_paid_booking(reservation)
    by_hand.execute(
        "INSERT INTO exchanges (id, booking_id, requested_by, ticket, old_seat, seat, difference, returns, fee,"
        " currency, body_sha256, state, problem, created_at, settled_at)"
        " SELECT gen_random_uuid(), %s, %s, %s, 'A-1-1', 'A-1-2', n, 0, 0, 'EUR', '', 'failed',"
        ' \'{"type": "exchange-failed", "detail": ""}\','
        " now() - make_interval(secs => 1000 - n), now() FROM generate_series(1, 150) n",
        [booking.id, booking.user_id, booking.tickets[0].id],
    )
    async with reservation.connect() as connection:
        listed = await history.of_booking(connection, booking.id)
    assert [each.difference for each in listed] == list(range(151 - MOST_SHOWN, 151))


async def test_of_the_domain_events_of_a_booking_the_newest_are_read_in_order(reservation: AsyncEngine) -> None:
    """The number of failed exchanges has no limit, and each of them is a domain event."""
    booking, told = uuid4(), MOST_EVENTS + 100
    async with reservation.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO domain_events (aggregate_id, sequence, type, data)"
                " SELECT :booking, number, 'booking.exchange_failed', '{}' FROM generate_series(1, :told) AS number"
            ),
            {"booking": booking, "told": told},
        )
        read = [each["sequence"] for each in await domain_events(connection, booking)]
    assert read == list(range(101, told + 1))
