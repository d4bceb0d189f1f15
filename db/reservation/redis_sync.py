"""Bookings whose end Redis could not be told of when it came: it has yet to let their places go, or mark them sold."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import UntoldRow


async def note(connection: AsyncConnection, booking_id: UUID) -> None:
    """Redis has yet to be told; to say so twice is no harm."""
    await connection.execute(insert(UntoldRow).values(booking_id=booking_id).on_conflict_do_nothing())


async def find(connection: AsyncConnection, *, limit: int) -> list[UUID]:
    """Some of those that Redis has yet to be told of."""
    return list(await connection.scalars(select(UntoldRow.booking_id).limit(limit)))


async def forget(connection: AsyncConnection, booking_id: UUID) -> None:
    """Redis has been told."""
    await connection.execute(delete(UntoldRow).where(UntoldRow.booking_id == booking_id))
