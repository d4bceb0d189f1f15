"""Finds bookings by ids that people and other systems know: the buyer's, a ticket's, a refund's, an exchange's."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.bookings.bookings import without_tickets
from db.reservation.tables import BookingRow, ExchangeRow, RefundRow, TicketRow
from domain.bookings import Booking

_LIMIT = 50


def of_user(user_id: UUID) -> Select[UUID]:
    """The ids of a buyer's bookings."""
    return select(BookingRow.id).where(BookingRow.user_id == user_id)


def of_ticket(ticket_id: UUID) -> Select[UUID]:
    """The id of the booking of a ticket, valid or void."""
    return select(TicketRow.booking_id).where(TicketRow.id == ticket_id)


def of_refund(refund_id: UUID) -> Select[UUID]:
    """The id of the booking of a refund."""
    return select(RefundRow.booking_id).where(RefundRow.id == refund_id)


def of_exchange(exchange_id: UUID) -> Select[UUID]:
    """The id of the booking of an exchange."""
    return select(ExchangeRow.booking_id).where(ExchangeRow.id == exchange_id)


async def find(connection: AsyncConnection, ids: Select[UUID]) -> list[Booking]:
    """The bookings with these ids, newest first and without tickets: at most 50."""
    newest_first = (BookingRow.created_at.desc(), BookingRow.id.desc())
    page = select(BookingRow).where(BookingRow.id.in_(ids)).order_by(*newest_first).limit(_LIMIT)
    return [without_tickets(row) for row in await connection.execute(page)]
