"""Refunds that the provider took back after it had paid: they are pending again, and their booking is `refunding`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.bookings import bookings
from db.reservation.bookings.bookings import identity
from db.reservation.refunds import refunds
from db.reservation.tables import BookingRow, DomainEventRow, RefundRow
from domain.bookings import Booking, BookingStatus
from domain.domain_events import REFUND_TYPES, BookingRefundTakenBack
from domain.problems import Refused
from domain.refunds import Refund, RefundCause, RefundState, SeenRefund


async def take_back(connection: AsyncConnection, refund_id: UUID, seen: SeenRefund | None = None) -> bool:
    """Whether the refund may be made again; False while another refund or an exchange of its booking is under way.

    Repeated, no change.

    Args:
        connection: In a transaction of the reservation service's database.
        refund_id: The refund that the provider took back.
        seen: As it was before the payment service was asked. If it was settled since, it may have been paid since: then
            it is not changed, and the answer is False. None: it is not compared.
    """
    refund = await _locked(connection, refund_id)
    if refund.state is not RefundState.SUCCEEDED:
        return True
    if seen and seen.settled_at != refund.settled_at:
        return False
    booking = await bookings.find(connection, refund.booking_id)
    assert booking
    if booking.status is BookingStatus.REFUNDING or await _is_exchanged(connection, booking.id):
        return False
    await connection.execute(
        update(RefundRow).where(RefundRow.id == refund_id).values(state=RefundState.PENDING, settled_at=None)
    )
    await connection.execute(
        update(BookingRow)
        .where(BookingRow.id == refund.booking_id)
        .values(refunded=BookingRow.refunded - refund.amount)
    )
    await _tell(connection, refund, booking)
    return True


async def _locked(connection: AsyncConnection, refund_id: UUID) -> Refund:
    """The refund, with its booking locked, as in every change of a booking."""
    of_refund = select(RefundRow.booking_id).where(RefundRow.id == refund_id).scalar_subquery()
    await connection.execute(select(BookingRow.id).where(BookingRow.id == of_refund).with_for_update())
    refund = await refunds.find(connection, refund_id)
    assert refund
    return refund


async def _is_exchanged(connection: AsyncConnection, booking_id: UUID) -> bool:
    try:
        await refunds.check_no_exchange(connection, booking_id)
    except Refused:
        return True
    return False


async def _tell(connection: AsyncConnection, refund: Refund, before: Booking) -> None:
    returned_at = await _told_at(connection, refund)

    def taken_back(now: Booking) -> BookingRefundTakenBack:
        return BookingRefundTakenBack(
            **identity(now),
            refund_id=refund.id,
            returned_at=returned_at,
            was_refunded=before.status is BookingStatus.REFUNDED and refund.cause is not RefundCause.EXCHANGE,
            amount=refund.amount,
            refunded=now.refunded,
            tickets=len(refund.tickets),
            currency=now.currency,
            cause=refund.cause,
        )

    await bookings.move(connection, before.id, version=before.version, to=BookingStatus.REFUNDING, tells=taken_back)


async def _told_at(connection: AsyncConnection, refund: Refund) -> datetime:
    """When the refund was last reported as paid."""
    told = (
        select(DomainEventRow.occurred_at)
        .where(DomainEventRow.aggregate_id == refund.booking_id, DomainEventRow.type.in_(REFUND_TYPES))
        .where(DomainEventRow.data.contains({"refund_id": str(refund.id)}))
    )
    return (await connection.execute(told.order_by(DomainEventRow.sequence.desc()).limit(1))).scalar_one()
