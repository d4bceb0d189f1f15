"""The outcome of a booking is recorded once in Postgres, and published to Kafka from there."""

from __future__ import annotations

from audit import queries
from audit.connections import EVENT_FILTER
from audit.snapshot import Snapshot, Violation
from domain.bookings import OVER, BookingStatus
from domain.domain_events import OUTCOME_TYPES

_UNSURE = BookingStatus.NEEDS_ATTENTION  # before or after its outcome

_OUTCOME_COUNTS = f"""
    SELECT id::text, status, recorded FROM (
        SELECT b.id, b.status, coalesce(sum(CASE e.type WHEN 'booking.reinstated' THEN -1 ELSE 1 END)
                                        FILTER (WHERE e.id IS NOT NULL), 0) AS recorded
        FROM bookings b LEFT JOIN domain_events e ON e.aggregate_id = b.id
          AND e.type IN ('booking.reinstated', {", ".join(f"'{name}'" for name in sorted(OUTCOME_TYPES))})
        WHERE {EVENT_FILTER.format("b.event_id")} GROUP BY b.id
    ) AS counted
    WHERE recorded <> CASE
        WHEN status IN ({", ".join(f"'{status}'" for status in sorted(OVER))}) THEN 1
        WHEN status = '{_UNSURE}' THEN least(recorded, 1)
        ELSE 0
    END
"""


async def an_outcome_is_recorded_once(snapshot: Snapshot) -> list[Violation]:
    """Each ended booking has exactly one outcome event since its last reinstatement; an open one has none."""
    return [
        Violation(row.id, f"{row.status}, but {row.recorded} outcome events")
        for row in await snapshot.rows(_OUTCOME_COUNTS)
    ]


async def every_outcome_reaches_kafka(snapshot: Snapshot) -> list[Violation]:
    """Each outcome event waits in the outbox or is on Kafka; Kafka may have it more than once under the same id."""
    deliveries = await snapshot.read(queries.deliveries)
    return [
        Violation(outcome.booking, f"{outcome.type} {outcome.id} is neither in the outbox nor on Kafka")
        for outcome in deliveries.outcomes
        if not outcome.waits
        and outcome.id not in deliveries.published
        and outcome.occurred_at > deliveries.complete_since
    ]


async def kafka_has_no_other_outcomes(snapshot: Snapshot) -> list[Violation]:
    """Kafka has no outcome that Postgres does not have, so that no booking ends there in two ways, or there alone."""
    deliveries = await snapshot.read(queries.deliveries)
    return [
        Violation(envelope.subject, f"{envelope.type} {envelope.id} is on Kafka only")
        for envelope in deliveries.unrecorded
    ]
