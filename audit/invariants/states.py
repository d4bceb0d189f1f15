"""What a booking's row says, held against the domain events that tell how it came about."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row

from audit.connections import OF_EVENT
from audit.snapshot import Broken, Look
from domain.bookings import Booking
from domain.domain_events import REFUND_TYPES, AnyDomainEvent
from domain.rebuilding import rebuild

# Whatever is plainly right is left out here, set by set; the rest is rebuilt one by one, which also finds out why.
_REFUNDED = tuple(sorted(REFUND_TYPES))
_SUSPECT = f"""
    WITH told AS (
        SELECT b.id, b.version, b.status, b.refunded, e.sequence, e.type, e.data,
               lag(e.data ->> 'status') OVER history AS status_before,
               e.data ->> 'booking_id' = b.id::text AND e.data ->> 'event_id' = b.event_id::text
                 AND e.data ->> 'user_id' = b.user_id::text AND 'booking.' || (e.data ->> 'status') = e.type
                 AND (e.type <> 'booking.held'
                      OR e.data -> 'seats' = to_jsonb(b.seats) AND e.data -> 'quantities' = b.quantities
                         AND e.data -> 'amount' = to_jsonb(b.amount) AND e.data ->> 'currency' = b.currency
                         AND (e.data ->> 'expires_at')::timestamptz = b.expires_at) AS fits
        FROM bookings b JOIN domain_events e ON e.aggregate_id = b.id
        WHERE {OF_EVENT.format("b.event_id")}
        WINDOW history AS (PARTITION BY b.id ORDER BY e.sequence)
    ), right_ones AS (
        SELECT told.id FROM told
        LEFT JOIN booking_edges edge ON edge.from_status = status_before AND edge.to_status = data ->> 'status'
        GROUP BY told.id
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
    WHERE {OF_EVENT.format("b.event_id")} AND NOT EXISTS (SELECT FROM right_ones WHERE right_ones.id = b.id)
    GROUP BY b.id
"""


async def states_follow_from_domain_events(look: Look) -> list[Broken]:
    """A booking's domain events lead along legal edges, without a gap, to all that its row says."""
    return [
        Broken(str(row.id), contradiction)
        async for row in look.stream(_SUSPECT)
        if (contradiction := _contradiction(row))
    ]


_HISTORY: TypeAdapter[Any] = TypeAdapter(list[AnyDomainEvent])
_TOLD = tuple(name for name in Booking.model_fields if name != "tickets")


def _contradiction(row: Row[Any]) -> str | None:
    """What a booking's row says and its domain events do not."""
    if row.sequences != list(range(1, row.version + 1)):
        return f"version {row.version}, but its domain events are {row.sequences}"
    try:
        told = rebuild(_HISTORY.validate_python(row.history))
    except ValidationError:
        return "a domain event cannot be read"
    except ValueError as error:
        return str(error)
    found = Booking.model_validate({name: getattr(row, name) for name in _TOLD})
    wrong = [name for name in _TOLD if getattr(found, name) != getattr(told, name)]
    return f"the row says {', '.join(f'{name} {getattr(found, name)}' for name in wrong)}" if wrong else None
