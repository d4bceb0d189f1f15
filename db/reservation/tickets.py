"""Tickets: one for each place of a booking, issued once."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import TicketRow
from domain.bookings import Booking, Ticket
from domain.seats import SeatName


async def tickets_of(connection: AsyncConnection, booking_id: UUID) -> tuple[Ticket, ...]:
    """The booking's live tickets."""
    rows = await connection.execute(
        select(TicketRow.id, TicketRow.section, TicketRow.seat)
        .where(TicketRow.booking_id == booking_id, TicketRow.status == "valid")
        .order_by(TicketRow.ordinal)
    )
    return tuple(Ticket(id=row.id, section=row.section, seat=row.seat) for row in rows)


async def issue(connection: AsyncConnection, booking: Booking) -> tuple[Ticket, ...]:
    """Issue one ticket a place; repeated, the same tickets."""
    places: list[tuple[str, str | None]] = [(SeatName.parse(name).section, name) for name in booking.seats]
    for section, quantity in sorted(booking.quantities.items()):
        places += [(section, None)] * quantity
    rows = [
        {"booking_id": booking.id, "event_id": booking.event_id, "section": section, "seat": seat, "ordinal": ordinal}
        for ordinal, (section, seat) in enumerate(places, start=1)
    ]
    # `DO NOTHING` returns no rows of an earlier try.
    once = insert(TicketRow).values(rows).on_conflict_do_nothing(constraint="tickets_booking_id_ordinal_key")
    made = (await connection.execute(once.returning(TicketRow.id, TicketRow.section, TicketRow.seat))).all()
    if len(made) < len(rows):
        return await tickets_of(connection, booking.id)
    return tuple(Ticket(id=row.id, section=row.section, seat=row.seat) for row in made)
