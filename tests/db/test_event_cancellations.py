"""What a cancellation of an event gives back, and what it is expected to give back before it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import cast
from uuid import UUID

from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.client import Client

from db.reservation import event_cancellations
from db.reservation.exchanges import exchanges
from db.reservation.refunds import refunds
from domain.bookings import Booking, BookingPolicy, BookingStatus
from domain.event_cancellations import Estimate
from domain.refunds import Refund, RefundCause
from tests.db.booking_steps import claim, confirm, find, move, on_sale
from tests.requests import exchange_request, refund_request
from workers.sweepers.workflow_recovery import recover_workflows

PRICE = 5000
S = BookingStatus
_NO_REFUNDS = "UPDATE events SET refund_until_hours = NULL WHERE id = :id"
_TENTH = "UPDATE events SET refund_fee_percent = 10 WHERE id = :id"
_CHEAPER = tuple(
    statement
    for section, price, seats in (("B", 1000, 3), ("C", 10, 1))
    for statement in (
        "INSERT INTO sections (event_id, name, kind, price, rows, seats_per_row, capacity)"
        f" VALUES (:id, '{section}', 'seated', {price}, 1, {seats}, {seats})",
        "INSERT INTO seats (event_id, name, section)"
        f" SELECT :id, '{section}-1-' || n, '{section}' FROM generate_series(1, {seats}) n",
    )
)


async def estimated(engine: AsyncEngine, event: UUID) -> Estimate:
    async with engine.connect() as connection:
        return await event_cancellations.estimate(connection, event)


async def paid(engine: AsyncEngine, event: UUID, *seats: str) -> Booking:
    return await confirm(engine, await move(engine, await claim(engine, event, *seats), S.PAYING))


async def given_back(
    engine: AsyncEngine,
    booking: Booking,
    *,
    tickets: int,
    settle: bool = True,
    cause: RefundCause = RefundCause.BUYER,
) -> Refund:
    """The first so many tickets that are valid by now."""
    valid = (await find(engine, booking)).tickets[:tickets]
    request = refund_request(
        booking, [each.id for each in valid], cause, waives_policy=cause is RefundCause.EVENT_CANCELLED
    )
    async with engine.begin() as connection:
        refund, _ = await refunds.accept(connection, request)
        return await refunds.settle(connection, refund.id) if settle else refund


async def exchanged(engine: AsyncEngine, booking: Booking, old: str, new: str) -> Booking:
    """The booking after an exchange for a cheaper seat, with its difference refunded."""
    request = exchange_request(booking, next(each.id for each in booking.tickets if each.seat == old), new)
    async with engine.begin() as connection:
        await exchanges.begin(connection, request)
        done = await exchanges.swap(connection, request.id)
    if done.refund_id:
        async with engine.begin() as connection:
            await refunds.settle(connection, done.refund_id)
    return await find(engine, booking)


async def test_an_estimate_counts_what_was_paid_of_bookings_of_every_status(reservation: AsyncEngine) -> None:
    event = await on_sale(reservation)
    await claim(reservation, event, "A-1-1")
    ways = ((S.PAYING,), (S.PAYING, S.ACTION_REQUIRED), (S.NEEDS_ATTENTION,), (S.CANCELLED,), (S.EXPIRED,), (S.FAILED,))
    for way in ways:
        booking = await claim(reservation, event, Standing=1)
        for status in way:
            booking = await move(reservation, booking, status)
    await paid(reservation, event, "A-1-2")
    await given_back(reservation, await paid(reservation, event, "A-1-3", "A-1-4"), tickets=1)
    await given_back(reservation, await paid(reservation, event, "A-1-5", "A-1-6"), tickets=1, settle=False)
    await given_back(reservation, await paid(reservation, event, "A-1-7"), tickets=1)

    found = await estimated(reservation, event)

    assert (found.bookings_in_flight, found.bookings_to_refund, found.amount) == (4, 3, 3 * PRICE)


async def test_a_cancellation_that_needs_attention_counts_until_it_needs_none(reservation: AsyncEngine) -> None:
    event, other = await on_sale(reservation), await on_sale(reservation)

    async def counted() -> tuple[float | None, bool, set[bool]]:
        await recover_workflows(reservation, cast(Client, None), BookingPolicy())
        async with reservation.connect() as connection:
            found = await event_cancellations.find(connection, event)
            under_way = await event_cancellations.find_under_way(connection, older=timedelta(0), limit=10)
        assert found
        gauge = REGISTRY.get_sample_value("seatwright_sagas_needing_attention")
        return gauge, found[0].needs_attention, {each.needs_attention for each in under_way if each.event_id == event}

    async def change(what: Callable[[AsyncConnection], Awaitable[bool | None]]) -> bool | None:
        async with reservation.begin() as connection:
            return await what(connection)

    for each in (event, other):
        assert await change(partial(event_cancellations.begin, event_id=each, requested_by=event)) is False
    assert await counted() == (0, False, {False})
    for needs_attention in (True, True, False, True):
        await change(partial(event_cancellations.flag, event_id=event, needs_attention=needs_attention))
        assert await counted() == (needs_attention, needs_attention, {needs_attention})
        begun = await change(partial(event_cancellations.begin, event_id=event, requested_by=event))
        assert begun is needs_attention
        assert await counted() == (needs_attention, needs_attention, {needs_attention})


async def test_a_cancelled_event_gives_back_what_exchanges_have_kept(reservation: AsyncEngine) -> None:
    event = await on_sale(reservation)
    async with reservation.begin() as connection:
        for statement in (_NO_REFUNDS, *_CHEAPER):
            await connection.execute(text(statement), {"id": event})
    booking = await paid(reservation, event, "A-1-1", "A-1-2", "A-1-3")
    for old, new in (("A-1-1", "B-1-1"), ("B-1-1", "B-1-2"), ("A-1-2", "B-1-3"), ("B-1-2", "C-1-1")):
        booking = await exchanged(reservation, booking, old, new)
    assert (booking.amount, booking.refunded) == (3 * PRICE, 0)
    assert (await estimated(reservation, event)).amount == 3 * PRICE

    refund = await given_back(reservation, booking, tickets=3, cause=RefundCause.EVENT_CANCELLED)

    assert (refund.amount, refund.fee) == (3 * PRICE, 0)
    assert (await find(reservation, booking)).refunded == 3 * PRICE


async def test_what_was_kept_of_a_ticket_given_back_before_stays_kept(reservation: AsyncEngine) -> None:
    event = await on_sale(reservation)
    async with reservation.begin() as connection:
        for statement in (_TENTH, *_CHEAPER):
            await connection.execute(text(statement), {"id": event})
    booking = await paid(reservation, event, "A-1-1", "A-1-2")
    for old, new in (("A-1-1", "B-1-1"), ("A-1-2", "B-1-2")):
        booking = await exchanged(reservation, booking, old, new)  # 4000 less a tenth goes back for each
    first = await given_back(reservation, booking, tickets=1)
    assert (first.amount, first.fee) == (900, 100)

    foreseen = (await estimated(reservation, event)).amount
    second = await given_back(reservation, booking, tickets=2, cause=RefundCause.EVENT_CANCELLED)

    assert foreseen == second.amount == 1000 + 400
    now = await find(reservation, booking)
    assert now.amount - now.refunded == 100 + 400
