"""What a cancellation of an event is expected to give back, before it is done."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from db.reservation import event_cancellations
from db.reservation.refunds import refunds
from domain.bookings import Booking, BookingStatus
from domain.event_cancellations import Estimate
from domain.refunds import Refund, RefundCause, RefundRequest
from tests.db.booking_steps import claim, confirm, move, on_sale

PRICE = 5000
S = BookingStatus


async def estimated(engine: AsyncEngine, event: UUID) -> Estimate:
    async with engine.connect() as connection:
        return await event_cancellations.estimate(connection, event)


async def paid(engine: AsyncEngine, event: UUID, *seats: str) -> Booking:
    return await confirm(engine, await move(engine, await claim(engine, event, *seats), S.PAYING))


async def given_back(engine: AsyncEngine, booking: Booking, *, tickets: int, settle: bool = True) -> Refund:
    request = RefundRequest(
        id=uuid4(),
        booking_id=booking.id,
        event_id=booking.event_id,
        requested_by=booking.user_id,
        cause=RefundCause.BUYER,
        reason="",
        tickets=tuple(each.id for each in booking.tickets[:tickets]),
        body_sha256="",
    )
    async with engine.begin() as connection:
        refund, _ = await refunds.accept(connection, request)
        return await refunds.settle(connection, refund.id) if settle else refund


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
