"""Reinstates an expired booking whose payment arrived late."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.bookings.bookings import claim_places, identity, move
from db.reservation.offers import find_sale
from db.reservation.tables import BookingRow, SeatRow
from domain.alternatives import nearest_equal
from domain.bookings import PAID, Booking, BookingStatus
from domain.domain_events import BookingEvent, BookingReinstated
from domain.problems import ProblemType, Refused


async def reinstate(connection: AsyncConnection, booking: Booking, seats: Sequence[str], window: timedelta) -> Booking:
    """Claim these seats, and the booking's general-admission places, for it: `expired` → `paying`.

    Args:
        connection: In a transaction of the reservation service's database.
        booking: The booking as the caller read it; a newer version refuses the step.
        seats: Its own seats, or others of equal value.
        window: How long the remaining steps may take before the booking counts as overdue.

    Raises:
        Refused: The event is not on sale, the buyer has paid for a later booking of it, or other bookings have the
            places; then nothing is changed.
        StaleStep: As for `move`.
    """
    await find_sale(connection, booking.event_id, lock=True)
    if await _has_booked_again(connection, booking):
        raise Refused(ProblemType.WRONG_STATE, "The buyer has paid for a later booking of this event.")
    changed = await connection.execute(
        update(BookingRow)
        .where(BookingRow.id == booking.id, BookingRow.version == booking.version)
        .where(BookingRow.status == BookingStatus.EXPIRED)
        .values(seats=list(seats), expires_at=func.now() + window, tickets_forbidden=False)
    )
    if changed.rowcount:
        await claim_places(connection, booking.model_copy(update={"seats": tuple(seats)}))
    return await move(connection, booking.id, version=booking.version, to=BookingStatus.PAYING, tells=_reinstated)


async def _has_booked_again(connection: AsyncConnection, booking: Booking) -> bool:
    """Whether the buyer has paid, and keeps, a later booking: they would pay twice for what they wanted once."""
    later = select(BookingRow.id).where(
        BookingRow.user_id == booking.user_id,
        BookingRow.created_at > select(BookingRow.created_at).where(BookingRow.id == booking.id).scalar_subquery(),
        BookingRow.event_id == booking.event_id,
        BookingRow.status.in_(PAID - {BookingStatus.REFUNDED}),
    )
    return await connection.scalar(later.limit(1)) is not None


def _reinstated(booking: Booking) -> BookingEvent:
    return BookingReinstated(
        **identity(booking),
        seats=booking.seats,
        quantities=booking.quantities,
        amount=booking.amount,
        currency=booking.currency,
        expires_at=booking.expires_at,
    )


async def alternatives(connection: AsyncConnection, booking: Booking, taken: Collection[str]) -> tuple[str, ...] | None:
    """The nearest free seats of equal value that are not in `taken`.

    Returns:
        None if there are none, or the buyer did not accept alternatives.
    """
    agreed = select(BookingRow.accept_alternatives).where(BookingRow.id == booking.id)
    if not booking.seats or not (await connection.execute(agreed)).scalar_one():
        return None
    sections = select(SeatRow.section).where(SeatRow.event_id == booking.event_id, SeatRow.name.in_(booking.seats))
    free = await connection.execute(
        select(SeatRow.name).where(
            SeatRow.event_id == booking.event_id, SeatRow.section.in_(sections), SeatRow.status == "available"
        )
    )
    return nearest_equal(booking.seats, set(free.scalars()) - set(taken))
