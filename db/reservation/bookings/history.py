"""The past: a user's bookings, and the domain events of a booking."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.bookings.bookings import without_tickets
from db.reservation.tables import BookingRow, DomainEventRow
from domain.bookings import Booking


async def of_user(connection: AsyncConnection, user_id: UUID, *, after: UUID | None, limit: int) -> list[Booking]:
    """A page of a user's bookings, newest first, beginning after a booking of an earlier page; without tickets."""
    page = select(BookingRow).where(BookingRow.user_id == user_id)
    if after:
        last = select(BookingRow.created_at, BookingRow.id).where(BookingRow.id == after, BookingRow.user_id == user_id)
        page = page.where(tuple_(BookingRow.created_at, BookingRow.id) < last.scalar_subquery())
    rows = await connection.execute(page.order_by(BookingRow.created_at.desc(), BookingRow.id.desc()).limit(limit))
    return [without_tickets(row) for row in rows]


async def domain_events(connection: AsyncConnection, booking_id: UUID) -> list[dict[str, Any]]:
    """The domain events of a booking, in order."""
    rows = await connection.execute(
        select(DomainEventRow.sequence, DomainEventRow.type, DomainEventRow.data, DomainEventRow.occurred_at)
        .where(DomainEventRow.aggregate_id == booking_id)
        .order_by(DomainEventRow.sequence)
    )
    return [dict(row._mapping) for row in rows]
