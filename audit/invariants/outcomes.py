"""How a booking's end is told: once in Postgres, and from there on its way to Kafka."""

from __future__ import annotations

from collections import defaultdict

from audit import queries
from audit.connections import OF_EVENT
from audit.snapshot import Broken, Look
from domain.bookings import OVER, BookingStatus
from domain.domain_events import OUTCOME_TYPES

_UNSURE = BookingStatus.NEEDS_ATTENTION  # on its way to an end, or already beyond one

_TOLD = f"""
    SELECT id::text, status, told FROM (
        SELECT b.id, b.status, coalesce(sum(CASE e.type WHEN 'booking.reinstated' THEN -1 ELSE 1 END)
                                        FILTER (WHERE e.id IS NOT NULL), 0) AS told
        FROM bookings b LEFT JOIN domain_events e ON e.aggregate_id = b.id
          AND e.type IN ('booking.reinstated', {", ".join(f"'{name}'" for name in sorted(OUTCOME_TYPES))})
        WHERE {OF_EVENT.format("b.event_id")} GROUP BY b.id
    ) AS counted
    WHERE told <> CASE
        WHEN status IN ({", ".join(f"'{status}'" for status in sorted(OVER))}) THEN 1
        WHEN status = '{_UNSURE}' THEN least(told, 1)
        ELSE 0
    END
"""


async def an_end_is_told_once(look: Look) -> list[Broken]:
    """Each booking that has ended has exactly one outcome event since it was last brought back; others have none."""
    return [Broken(row.id, f"{row.status}, told {row.told} times") for row in await look.rows(_TOLD)]


async def what_is_told_reaches_kafka(look: Look) -> list[Broken]:
    """Each outcome event waits in the outbox or is on Kafka, where it may be repeated under the same id."""
    story = await look.once(queries.story)
    return [
        Broken(outcome.booking, f"{outcome.type} {outcome.id} is neither in the outbox nor on Kafka")
        for outcome in story.outcomes
        if not outcome.waits and outcome.id not in story.published and outcome.occurred_at > story.complete_since
    ]


async def kafka_tells_nothing_else(look: Look) -> list[Broken]:
    """No outcome is on Kafka that Postgres does not know, so that no booking ends there in two ways."""
    story = await look.once(queries.story)
    told: dict[str, set[str]] = defaultdict(set)
    for outcome in story.outcomes:
        told[outcome.booking].add(outcome.id)
    return [
        Broken(envelope.subject, f"{envelope.type} {envelope.id} is on Kafka only")
        for envelope in story.published.values()
        if envelope.id not in told[envelope.subject]
    ]
