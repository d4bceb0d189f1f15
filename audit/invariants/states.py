"""A booking's row follows from its domain events."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row

from audit.connections import EVENT_FILTER
from audit.snapshot import Snapshot, Violation
from domain.bookings import Booking
from domain.domain_events import REFUND_TYPES, AnyDomainEvent
from domain.rebuilding import rebuild

# SQL excludes the consistent bookings as a set; the others are rebuilt one by one, which also finds the reason.
_REFUNDED = tuple(sorted(REFUND_TYPES))
_SUSPECT = f"""
    WITH event_rows AS (
        SELECT b.id, b.version, b.status, b.refunded, e.sequence, e.type, e.data,
               lag(e.data ->> 'status') OVER history AS status_before,
               e.data ->> 'booking_id' = b.id::text AND e.data ->> 'event_id' = b.event_id::text
                 AND e.data ->> 'user_id' = b.user_id::text AND 'booking.' || (e.data ->> 'status') = e.type
                 AND (e.type <> 'booking.held'
                      OR e.data -> 'seats' = to_jsonb(b.seats) AND e.data -> 'quantities' = b.quantities
                         AND e.data -> 'amount' = to_jsonb(b.amount) AND e.data ->> 'currency' = b.currency
                         AND (e.data ->> 'expires_at')::timestamptz = b.expires_at) AS fits
        FROM bookings b JOIN domain_events e ON e.aggregate_id = b.id
        WHERE {EVENT_FILTER.format("b.event_id")}
        WINDOW history AS (PARTITION BY b.id ORDER BY e.sequence)
    ), consistent AS (
        SELECT event_rows.id FROM event_rows
        LEFT JOIN booking_edges edge ON edge.from_status = status_before AND edge.to_status = data ->> 'status'
        GROUP BY event_rows.id
        HAVING count(*) = min(version) AND min(sequence) = 1 AND max(sequence) = min(version)
           AND bool_and(fits AND CASE sequence WHEN 1 THEN type = 'booking.held' ELSE edge.to_status IS NOT NULL END)
           AND bool_or(sequence = version AND data ->> 'status' = status)
           AND min(refunded) = coalesce(sum((data ->> 'amount')::bigint) FILTER (WHERE type IN {_REFUNDED}), 0)
    )
    SELECT b.id, b.version, b.user_id, b.event_id, b.status, b.seats, b.quantities, b.amount, b.currency, b.expires_at,
           b.refunded,
           array_agg(e.sequence ORDER BY e.sequence) AS sequences,
           jsonb_agg(e.data || jsonb_build_object('type', e.type) ORDER BY e.sequence) AS history
    FROM bookings b LEFT JOIN domain_events e ON e.aggregate_id = b.id
    WHERE {EVENT_FILTER.format("b.event_id")} AND NOT EXISTS (SELECT FROM consistent WHERE consistent.id = b.id)
    GROUP BY b.id
"""


async def states_follow_from_domain_events(snapshot: Snapshot) -> list[Violation]:
    """A booking's domain events lead through allowed transitions, without a gap, to the values of its row."""
    return [
        Violation(str(row.id), contradiction)
        async for row in snapshot.stream(_SUSPECT)
        if (contradiction := _contradiction(row))
    ]


_HISTORY: TypeAdapter[Any] = TypeAdapter(list[AnyDomainEvent])
_COMPARED = tuple(name for name in Booking.model_fields if name != "tickets")


def _contradiction(row: Row[Any]) -> str | None:
    """How a booking's row differs from its domain events."""
    if row.sequences != list(range(1, row.version + 1)):
        return f"version {row.version}, but its domain events are {row.sequences}"
    try:
        rebuilt = rebuild(_HISTORY.validate_python(row.history))
    except ValidationError:
        return "a domain event cannot be read"
    except ValueError as error:
        return str(error)
    stored = Booking.model_validate({name: getattr(row, name) for name in _COMPARED})
    wrong = [name for name in _COMPARED if getattr(stored, name) != getattr(rebuilt, name)]
    return f"the row says {', '.join(f'{name} {getattr(stored, name)}' for name in wrong)}" if wrong else None
