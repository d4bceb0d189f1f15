"""Tickets: one for each place of a booking, issued once."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import TicketRow
from domain.bookings import Booking, Ticket
from domain.seats import SeatName

_TICKETS = (
    select(TicketRow.id, TicketRow.section, TicketRow.seat)
    .where(TicketRow.booking_id == bindparam("of_booking"), TicketRow.status == "valid")
    .order_by(TicketRow.ordinal)
)
# `DO NOTHING` returns no rows of an earlier try.
_ISSUE = text(
    """
    INSERT INTO tickets (booking_id, event_id, section, seat, ordinal)
    SELECT :booking_id, :event_id, section, seat, ordinal
    FROM unnest(CAST(:sections AS text[]), CAST(:seats AS text[])) WITH ORDINALITY AS place (section, seat, ordinal)
    ON CONFLICT ON CONSTRAINT tickets_booking_id_ordinal_key DO NOTHING RETURNING id, section, seat
    """
)


async def tickets_of(connection: AsyncConnection, booking_id: UUID) -> tuple[Ticket, ...]:
    """The booking's live tickets."""
    rows = await connection.execute(_TICKETS, {"of_booking": booking_id})
    return tuple(Ticket(id=row.id, section=row.section, seat=row.seat) for row in rows)


async def issue(connection: AsyncConnection, booking: Booking) -> tuple[Ticket, ...]:
    """Issue one ticket for each place; repeated, the same tickets."""
    places: list[tuple[str, str | None]] = [(SeatName.parse(name).section, name) for name in booking.seats]
    for section, quantity in sorted(booking.quantities.items()):
        places += [(section, None)] * quantity
    values = {
        "booking_id": booking.id,
        "event_id": booking.event_id,
        "sections": [section for section, _ in places],
        "seats": [seat for _, seat in places],
    }
    made = (await connection.execute(_ISSUE, values)).all()
    if len(made) < len(places):
        return await tickets_of(connection, booking.id)
    return tuple(Ticket(id=row.id, section=row.section, seat=row.seat) for row in made)
