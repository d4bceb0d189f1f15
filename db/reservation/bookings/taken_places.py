"""All claimed and sold places of an event, to load them into an empty Redis."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Label, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, GeneralClaimRow, SeatRow
from domain.bookings import OVER, BookingStatus

_OF_LATE = timedelta(hours=1)  # a caller without an answer repeats its request within minutes
_LET_GO = OVER - {BookingStatus.CONFIRMED}


class Claim(NamedTuple):
    """A seat, or places in a section, that a booking has.

    Attributes:
        left: Time until the hold ends (negative after its end), or the payment that may outlast it; None for sold
            places.
    """

    place: str
    booking_id: UUID
    quantity: int
    left: timedelta | None


async def seat_claims(connection: AsyncConnection, event_id: UUID, payment_window: timedelta) -> list[Claim]:
    """The seats that are claimed or sold.

    Args:
        connection: To the reservation service's database.
        event_id: The event.
        payment_window: How long a payment may take, or the exchange of a seat.
    """
    rows = await connection.execute(
        select(SeatRow.name, SeatRow.status, BookingRow.id, _left(payment_window))
        .join(BookingRow, BookingRow.id == SeatRow.booking_id)
        .where(SeatRow.event_id == event_id, SeatRow.status != "available")
    )
    return [Claim(row.name, row.id, 1, None if row.status == "sold" else row.left) for row in rows]


async def general_claims(connection: AsyncConnection, event_id: UUID, payment_window: timedelta) -> list[Claim]:
    """The general-admission places that are claimed or sold; the arguments are those of `seat_claims`."""
    rows = await connection.execute(
        select(
            GeneralClaimRow.section,
            GeneralClaimRow.quantity,
            GeneralClaimRow.status,
            BookingRow.id,
            _left(payment_window),
        )
        .join(BookingRow, BookingRow.id == GeneralClaimRow.booking_id)
        .where(GeneralClaimRow.event_id == event_id)
    )
    return [Claim(row.section, row.id, row.quantity, None if row.status == "sold" else row.left) for row in rows]


def _left(payment_window: timedelta) -> Label[timedelta]:
    """A booking that only holds has its claims until `expires_at`; in any other state it keeps them beyond that."""
    in_use = case((BookingRow.status != BookingStatus.HELD, literal(payment_window)))
    return func.greatest(BookingRow.expires_at - func.now(), in_use).label("left")


async def lately_ended(connection: AsyncConnection, event_id: UUID) -> list[UUID]:
    """Bookings that released places within the last hour, all or some of them."""
    rows = await connection.execute(
        select(BookingRow.id)
        .where(BookingRow.event_id == event_id, BookingRow.status.in_(_LET_GO))
        .where(BookingRow.updated_at > func.now() - _OF_LATE)
    )
    return list(rows.scalars())
