"""Pending Redis updates: bookings whose end is not in Redis yet, because Redis did not answer."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, PendingRedisUpdateRow


async def note(connection: AsyncConnection, booking_id: UUID) -> None:
    """Record that Redis needs an update for the booking; repeated, no change."""
    await connection.execute(insert(PendingRedisUpdateRow).values(booking_id=booking_id).on_conflict_do_nothing())


async def find(connection: AsyncConnection, *, limit: int) -> list[UUID]:
    """Some bookings that need an update of Redis."""
    return list(await connection.scalars(select(PendingRedisUpdateRow.booking_id).limit(limit)))


async def forget(connection: AsyncConnection, booking_id: UUID, version: int) -> None:
    """Record that Redis is up to date for the booking, unless it has a later version, which Redis may miss."""
    shown = select(BookingRow.id).where(BookingRow.id == booking_id, BookingRow.version == version)
    await connection.execute(delete(PendingRedisUpdateRow).where(PendingRedisUpdateRow.booking_id.in_(shown)))
