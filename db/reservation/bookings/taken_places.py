"""All claimed and sold places of an event, to load them into an empty Redis."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, GeneralClaimRow, SeatRow
from domain.bookings import OVER, BookingStatus

_OF_LATE = timedelta(hours=1)  # a caller without an answer repeats its request within minutes
_LET_GO = OVER - {BookingStatus.CONFIRMED}


class Claim(NamedTuple):
    """A seat, or places in a section, that a booking has.

    Attributes:
        left: Time until the hold ends (negative after its end); None for sold places.
    """

    place: str
    booking_id: UUID
    quantity: int
    left: timedelta | None


async def seat_claims(connection: AsyncConnection, event_id: UUID) -> list[Claim]:
    """The seats that are claimed or sold."""
    rows = await connection.execute(
        select(SeatRow.name, SeatRow.status, BookingRow.id, (BookingRow.expires_at - func.now()).label("left"))
        .join(BookingRow, BookingRow.id == SeatRow.booking_id)
        .where(SeatRow.event_id == event_id, SeatRow.status != "available")
    )
    return [Claim(row.name, row.id, 1, None if row.status == "sold" else row.left) for row in rows]


async def general_claims(connection: AsyncConnection, event_id: UUID) -> list[Claim]:
    """The general-admission places that are claimed or sold."""
    rows = await connection.execute(
        select(
            GeneralClaimRow.section,
            GeneralClaimRow.quantity,
            GeneralClaimRow.status,
            BookingRow.id,
            (BookingRow.expires_at - func.now()).label("left"),
        )
        .join(BookingRow, BookingRow.id == GeneralClaimRow.booking_id)
        .where(GeneralClaimRow.event_id == event_id)
    )
    return [Claim(row.section, row.id, row.quantity, None if row.status == "sold" else row.left) for row in rows]


async def lately_ended(connection: AsyncConnection, event_id: UUID) -> list[UUID]:
    """Bookings that released places within the last hour, all or some of them."""
    rows = await connection.execute(
        select(BookingRow.id)
        .where(BookingRow.event_id == event_id, BookingRow.status.in_(_LET_GO))
        .where(BookingRow.updated_at > func.now() - _OF_LATE)
    )
    return list(rows.scalars())
