"""What is stored about a booking beside its own state, read with it at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.bookings.bookings import without_tickets
from domain.booking_details import BookingFacts, EventOfBooking, ExchangeUnderWay, IssuedTicket
from domain.bookings import Booking
from domain.exchanges import LIVE, MOST_EXCHANGES
from domain.time_zones import DEFAULT

# One statement, so that all of it is of one moment. Of the tickets that exchanges made void it has the newest: an
# earlier version did not limit exchanges, and a booking may have thousands of them.
_FACTS = text(
    """
    SELECT b.id, b.version, b.user_id, b.event_id, b.status, b.seats, b.quantities, b.amount, b.currency, b.expires_at,
        b.refunded, b.action_url, b.payment_problem, e.name AS event_name, e.starts_at, e.timezone, e.venue_name,
        e.venue_city, e.venue_country, e.status AS event_status,
        (SELECT jsonb_object_agg(s.name, s.price) FROM sections s WHERE s.event_id = b.event_id) AS prices,
        (SELECT jsonb_agg(jsonb_build_object(
            'id', t.id, 'section', t.section, 'seat', t.seat, 'status', t.status, 'refund_id', t.refund_id
         ) ORDER BY t.ordinal) FROM tickets t WHERE t.booking_id = b.id
            AND (t.status = 'valid' OR t.refund_id IS NOT NULL OR t.id IN (
                SELECT v.id FROM tickets v WHERE v.booking_id = b.id AND v.status = 'void' AND v.refund_id IS NULL
                ORDER BY v.ordinal DESC LIMIT :most_exchanged
            ))) AS tickets,
        (SELECT r.id FROM refunds r WHERE r.booking_id = b.id AND r.state <> 'succeeded' LIMIT 1) AS refund_id,
        (SELECT jsonb_build_object('id', x.id, 'state', x.state, 'action_url', x.action_url)
         FROM exchanges x WHERE x.booking_id = b.id AND x.state = ANY (:live) LIMIT 1) AS exchange
    FROM bookings b JOIN events e ON e.id = b.event_id
    WHERE b.id = ANY (:ids)
    """
)


async def facts_of(connection: AsyncConnection, ids: Sequence[UUID]) -> dict[UUID, tuple[Booking, BookingFacts]]:
    """By id, each booking without its tickets, and the facts about it; an unknown id is left out."""
    values = {"ids": list(ids), "live": [str(state) for state in LIVE], "most_exchanged": MOST_EXCHANGES}
    rows = await connection.execute(_FACTS, values)
    return {row.id: (without_tickets(row), _facts(row)) for row in rows}


def _facts(row: Any) -> BookingFacts:
    event = EventOfBooking(
        name=row.event_name,
        venue=row.venue_name,
        city=row.venue_city,
        country=row.venue_country,
        starts_at=row.starts_at,
        timezone=row.timezone or DEFAULT,
        status=row.event_status,
    )
    return BookingFacts(
        event=event,
        prices=row.prices or {},
        tickets=tuple(IssuedTicket.model_validate(ticket) for ticket in row.tickets or ()),
        refund_id=row.refund_id,
        exchange=ExchangeUnderWay.model_validate(row.exchange) if row.exchange else None,
        action_url=row.action_url,
        payment_problem=row.payment_problem,
    )
