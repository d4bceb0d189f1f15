"""Seats and places in Postgres, which decides the ownership."""

from __future__ import annotations

from audit.connections import EVENT_FILTER
from audit.queries import BOOKINGS_IN_EXCHANGE
from audit.snapshot import Snapshot, Violation

_OWNERS = f"""
    SELECT event_id, seat, string_agg(booking_id::text, ', ' ORDER BY booking_id) AS bookings FROM tickets
    WHERE status = 'valid' AND seat IS NOT NULL AND {EVENT_FILTER.format("event_id")}
    GROUP BY event_id, seat HAVING count(*) > 1
    UNION ALL
    SELECT t.event_id, t.seat,
           t.booking_id::text || ' has a ticket, ' || coalesce(s.booking_id::text, 'no booking') || ' the seat'
    FROM tickets t LEFT JOIN seats s ON s.event_id = t.event_id AND s.name = t.seat
    WHERE t.status = 'valid' AND t.seat IS NOT NULL AND {EVENT_FILTER.format("t.event_id")}
      AND (s.booking_id IS DISTINCT FROM t.booking_id OR s.status <> 'sold')
"""


async def a_seat_has_one_owner(snapshot: Snapshot) -> list[Violation]:
    """No seat has two valid tickets, and the booking of a valid ticket owns the seat as sold."""
    return [Violation(f"{row.event_id} {row.seat}", row.bookings) for row in await snapshot.rows(_OWNERS)]


_MISCOUNTED = f"""
    SELECT s.event_id, s.name, s.claimed AS counted, coalesce(sum(g.quantity), 0) AS found
    FROM sections s LEFT JOIN general_claims g ON g.event_id = s.event_id AND g.section = s.name
    WHERE s.kind = 'general' AND {EVENT_FILTER.format("s.event_id")}
    GROUP BY s.event_id, s.name
    HAVING s.claimed <> coalesce(sum(g.quantity), 0) OR s.claimed > s.capacity
    UNION ALL
    SELECT s.event_id, s.name, s.capacity, count(seats.name)
    FROM sections s LEFT JOIN seats ON seats.event_id = s.event_id AND seats.section = s.name
    WHERE s.kind = 'seated' AND {EVENT_FILTER.format("s.event_id")}
    GROUP BY s.event_id, s.name HAVING count(seats.name) <> s.capacity
"""


async def every_place_is_counted(snapshot: Snapshot) -> list[Violation]:
    """Sold, claimed and free places together are the capacity of each section."""
    rows = await snapshot.rows(_MISCOUNTED)
    return [Violation(f"{row.event_id} {row.name}", f"{row.counted} counted, {row.found} found") for row in rows]


# The new seat of an open exchange does not belong to the booking yet.
_NEW_SEATS = BOOKINGS_IN_EXCHANGE.replace("booking_id", "booking_id, seat", 1)

# Aggregated by table first: a subquery for each booking is ten times slower.
_MISPLACED = f"""
    WITH owned AS (
        SELECT s.booking_id AS id, count(*) AS places, count(*) FILTER (WHERE s.status = 'sold') AS sold,
               count(*) FILTER (WHERE s.name <> ALL (b.seats)) AS unrequested
        FROM seats s JOIN bookings b ON b.id = s.booking_id
        WHERE {EVENT_FILTER.format("s.event_id")}
          AND NOT (s.status = 'claimed' AND (b.id, s.name) IN ({_NEW_SEATS})) GROUP BY 1
    ), general AS (
        SELECT booking_id AS id, sum(quantity) AS places, sum(quantity) FILTER (WHERE status = 'sold') AS sold
        FROM general_claims WHERE {EVENT_FILTER.format("event_id")} GROUP BY 1
    ), tickets AS (
        SELECT booking_id AS id, count(*) FILTER (WHERE status = 'valid') AS live,
               count(*) FILTER (WHERE refund_id IS NOT NULL) AS returned
        FROM tickets WHERE {EVENT_FILTER.format("event_id")} GROUP BY 1
    ), counted AS (
        SELECT b.id::text, b.status, coalesce(owned.unrequested, 0) AS unrequested,
               coalesce(tickets.live, 0) AS tickets, coalesce(tickets.returned, 0) AS returned,
               cardinality(b.seats)
                 + CASE b.quantities WHEN '{{}}' THEN 0
                   ELSE (SELECT sum(value::int) FROM jsonb_each_text(b.quantities)) END AS requested,
               coalesce(owned.places, 0) + coalesce(general.places, 0) AS owned,
               coalesce(owned.sold, 0) + coalesce(general.sold, 0) AS sold
        FROM bookings b LEFT JOIN owned USING (id) LEFT JOIN general USING (id) LEFT JOIN tickets USING (id)
        WHERE {EVENT_FILTER.format("b.event_id")}
    )
    SELECT * FROM counted WHERE unrequested > 0 OR CASE
        WHEN status = 'confirmed' AND returned > 0 THEN true
        WHEN status IN ('confirmed', 'refunding', 'partially_refunded')
            THEN (owned, sold, tickets) IS DISTINCT FROM (requested - returned, owned, owned)
        WHEN status = 'refunded' AND returned <> requested THEN true
        WHEN status IN ('cancelled', 'expired', 'failed', 'refunded') THEN owned + tickets > 0
        ELSE owned <> requested
    END
"""


async def places_belong_to_live_bookings(snapshot: Snapshot) -> list[Violation]:
    """A paid booking owns exactly the places of its valid tickets, sold; a booking that ended owns none."""
    return [
        Violation(row.id, f"{row.status}: {row.requested} requested, {row.owned} owned, {row.tickets} tickets")
        for row in await snapshot.rows(_MISPLACED)
    ]
