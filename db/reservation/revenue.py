"""An event's sales, for its organizer."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, EventRow, TicketRow
from domain.bookings import PAID
from domain.sales import Sales


async def find(connection: AsyncConnection, event_id: UUID) -> tuple[Sales, UUID] | None:
    """An event's sales so far and its organizer; None if it was never on sale."""
    event = (
        await connection.execute(select(EventRow.organizer_id, EventRow.currency).where(EventRow.id == event_id))
    ).one_or_none()
    if event is None:
        return None
    paid = select(
        func.count().label("bookings"),
        func.coalesce(func.sum(BookingRow.amount), 0).label("taken"),
        func.coalesce(func.sum(BookingRow.refunded), 0).label("refunded"),
    ).where(BookingRow.event_id == event_id, BookingRow.status.in_(PAID))
    tickets = select(func.count()).where(TicketRow.event_id == event_id, TicketRow.status == "valid")
    row = (await connection.execute(paid)).one()
    sales = Sales(
        event_id=event_id,
        currency=event.currency,
        bookings=row.bookings,
        tickets=await connection.scalar(tickets) or 0,
        taken=int(row.taken),
        refunded=int(row.refunded),
    )
    return sales, event.organizer_id
