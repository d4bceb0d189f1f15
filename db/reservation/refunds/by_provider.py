"""Refunds that the provider made without our request: they count as refunded, and the tickets stay valid."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import append
from db.reservation.bookings import bookings
from db.reservation.bookings.bookings import identity
from db.reservation.refunds import refunds
from db.reservation.tables import BookingRow, EventRow, ExchangeRow, RefundRow
from domain.bookings import PAID, Booking
from domain.domain_events import BookingRefundedByProvider
from domain.exchanges import ExchangeState
from domain.payments import RefundByProvider
from domain.refunds import RefundCause, RefundState

_NO_PERSON: Final = UUID(int=0)
_REASON: Final = "The payment provider gave the money back without our request, for example from its dashboard."


async def note(connection: AsyncConnection, booking_id: UUID, made: RefundByProvider) -> None:
    """Count a refund that the provider made; repeated, no change."""
    await connection.execute(select(BookingRow.id).where(BookingRow.id == booking_id).with_for_update())
    if await refunds.find(connection, made.refund_id):
        return
    before = await bookings.find(connection, booking_id)
    assert before
    await connection.execute(
        insert(RefundRow).values(
            id=made.refund_id,
            booking_id=booking_id,
            requested_by=_NO_PERSON,
            cause=RefundCause.PROVIDER,
            reason=_REASON,
            body_sha256="",
            state=RefundState.SUCCEEDED,
            amount=made.amount,
            fee=0,
            currency=before.currency,
            settled_at=func.now(),
        )
    )
    grown = {"refunded": BookingRow.refunded + made.amount, "version": BookingRow.version + 1}
    await connection.execute(
        update(BookingRow).where(BookingRow.id == booking_id).values(**grown, updated_at=func.now())
    )
    await _tell(connection, before, made)


async def _tell(connection: AsyncConnection, before: Booking, made: RefundByProvider) -> None:
    event_name = await connection.scalar(select(EventRow.name).where(EventRow.id == before.event_id))
    assert event_name
    told = BookingRefundedByProvider(
        **identity(before),
        refund_id=made.refund_id,
        event_name=event_name,
        amount=made.amount,
        refunded=before.refunded + made.amount,
        tickets=0,
        currency=before.currency,
        cause=RefundCause.PROVIDER,
    )
    await append(connection, before.id, told)


async def lower(connection: AsyncConnection, refund_id: UUID, amount: int) -> None:
    """Let a refund that is under way be of less money, because the provider has given back the rest itself."""
    under_way = (RefundRow.id == refund_id, RefundRow.state != RefundState.SUCCEEDED, RefundRow.amount > amount)
    await connection.execute(update(RefundRow).where(*under_way).values(amount=amount))


async def settled_payments(connection: AsyncConnection, booking_id: UUID) -> tuple[UUID | None, ...]:
    """Which payments of a booking are not being undone: those of completed exchanges, and with None its own.

    Returns:
        None of them unless the booking is paid.
    """
    booking = await bookings.find(connection, booking_id)
    if booking is None or booking.status not in PAID:
        return ()
    completed = select(ExchangeRow.id).where(
        ExchangeRow.booking_id == booking_id, ExchangeRow.state == ExchangeState.COMPLETED
    )
    return (None, *(await connection.execute(completed)).scalars())
