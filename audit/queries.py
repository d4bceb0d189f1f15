"""What several checks need: read with the newest last, so that nothing seems missing only because it came later."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from temporalio.client import WorkflowExecution

from adapters.kafka.client import CONSUMER_GROUPS, dead_letters
from audit.connections import OF_EVENT, Sources
from audit.probes.kafka_log import Envelope
from audit.probes.sandbox_ledger import RecordedIntent
from audit.probes.seat_records import EventRecord, read_events
from domain.bookings import BookingStatus
from domain.domain_events import EXCHANGE_TYPE, OUTCOME_TYPES, REFUND_TYPES, TAKEN_BACK_TYPE, BookingEvent
from temporal.search_attributes import BOOKING

_CLOCKS_DIFFER = timedelta(hours=1)  # at most: the broker goes by the clocks of those who publish


class Facts(NamedTuple):
    """A booking, in short; `has_just_changed`, and Redis and others may not have been told of it yet."""

    status: str
    amount: int
    refunded: int
    has_just_changed: bool


async def bookings(sources: Sources) -> dict[str, Facts]:
    """Every booking by id."""
    statement = f"""
        SELECT id::text, status, amount, refunded, updated_at > now() - CAST(:lag AS interval) AS has_just_changed
        FROM bookings WHERE {OF_EVENT.format("event_id")}
    """
    return {
        row.id: Facts(row.status, row.amount, row.refunded, row.has_just_changed)
        async for row in sources.stream(statement)
    }


async def booking_ids(sources: Sources) -> list[UUID] | None:
    """The event's bookings; None where all are audited."""
    if sources.event_id is None:
        return None
    return [row.id for row in await sources.rows("SELECT id FROM bookings WHERE event_id = :event_id")]


async def intents(sources: Sources) -> dict[str, list[RecordedIntent]]:
    """What the provider has of each booking."""
    found: dict[str, list[RecordedIntent]] = defaultdict(list)
    async for intent in sources.provider.intents(await booking_ids(sources)):
        found[str(intent.booking_id)].append(intent)
    return found


async def exchange_of_intent(sources: Sources) -> dict[str, str]:
    """Which exchange an intent pays for; those of the bookings themselves are not in it."""
    statement = "SELECT intent_id, exchange_id::text AS exchange FROM attempts WHERE exchange_id IS NOT NULL"
    return {row.intent_id: row.exchange async for row in sources.stream(statement, "payment") if row.intent_id}


async def places(sources: Sources) -> dict[str, EventRecord]:
    """What Redis keeps, by event."""
    return await read_events(sources.redis, sources.event_id)


async def sagas(sources: Sources) -> dict[str, WorkflowExecution]:
    """The latest run of each booking's own workflow, as far as Temporal still knows it."""
    found: dict[str, WorkflowExecution] = {}
    query = f"WorkflowType = 'Booking' AND {_workflows_of(sources)}"
    async for saga in sources.temporal.list_workflows(query, page_size=1000):
        booking = str(saga.typed_search_attributes.get(BOOKING))
        if booking not in found or found[booking].start_time < saga.start_time:
            found[booking] = saga
    return found


async def running(sources: Sources) -> set[str]:
    """The bookings that a workflow of any kind is at work on."""
    found = sources.temporal.list_workflows(f"ExecutionStatus = 'Running' AND {_workflows_of(sources)}", page_size=1000)
    return {str(workflow.typed_search_attributes.get(BOOKING)) async for workflow in found}


def _workflows_of(sources: Sources) -> str:
    return f"SeatwrightEvent = '{sources.event_id}'" if sources.event_id else "SeatwrightBooking IS NOT NULL"


EXCHANGING = "SELECT booking_id FROM exchanges WHERE state IN ('pending', 'action_required', 'committed')"
"""The bookings one of whose seats is being exchanged: they have the new seat, claimed, besides their own."""

_MOVES_MONEY = (
    BookingStatus.PAYING,
    BookingStatus.ACTION_REQUIRED,
    BookingStatus.NEEDS_ATTENTION,
    BookingStatus.REFUNDING,
)


async def moving(sources: Sources) -> set[str]:
    """The bookings whose money a living saga still moves, so that nobody can say what is right."""
    ids = [f"'{status}'" for status in _MOVES_MONEY]
    statement = f"""
        SELECT id::text FROM bookings
        WHERE (status IN ({", ".join(ids)}) OR id IN ({EXCHANGING})) AND {OF_EVENT.format("event_id")}
    """
    unsure = {row.id for row in await sources.rows(statement)}
    return unsure and unsure & await running(sources)


class Story(NamedTuple):
    """How bookings ended and were refunded, as it was told from Postgres to Kafka to the consumers.

    Attributes:
        sales: What analytics has counted: event, currency, bookings, tickets, revenue; in all, and by day what was sold
            and what was refunded.
        counted: The domain events that analytics has in its inbox.
        outcomes: The outcome events, and those of exchanges and of refunds that have succeeded, for good or
            not; `waits` is whether one is still in the outbox, `is_early` whether it is too young to be judged.
        published: Those on Kafka, each where it lies first.
        complete_since: Kafka may have let go of what is older.
        letters: What consumers have put aside.
    """

    sales: list[Row[Any]]
    counted: set[str]
    outcomes: list[Row[Any]]
    published: dict[str, Envelope]
    complete_since: datetime
    letters: list[Envelope]


_TOLD_TYPES = OUTCOME_TYPES | REFUND_TYPES | {EXCHANGE_TYPE, TAKEN_BACK_TYPE}
_OUTCOMES = f"""
    SELECT e.aggregate_id::text AS booking, e.id::text AS id, e.type, e.occurred_at, b.event_id::text AS event,
           b.currency, (e.data ->> 'amount')::bigint AS amount,
           CASE jsonb_typeof(e.data -> 'tickets') WHEN 'array' THEN jsonb_array_length(e.data -> 'tickets')
           ELSE coalesce((e.data ->> 'tickets')::integer, 0) END AS tickets,
           coalesce((e.data ->> 'was_refunded')::boolean, false) AS was_refunded,
           o.id IS NOT NULL AS waits, e.occurred_at > now() - CAST(:lag AS interval) AS is_early
    FROM bookings b JOIN domain_events e ON e.aggregate_id = b.id
    LEFT JOIN outbox o ON o.domain_event_id = e.id
    WHERE e.type IN ({", ".join(f"'{name}'" for name in sorted(_TOLD_TYPES))}) AND {OF_EVENT.format("b.event_id")}
"""
_SALES = f"""
    SELECT 'in all' AS book, event_id::text AS event, currency, bookings, tickets, revenue
    FROM sales WHERE {OF_EVENT.format("event_id")}
    UNION ALL
    SELECT 'sold by day', event_id::text, currency, sum(bookings)::bigint, sum(tickets)::bigint, sum(revenue)::bigint
    FROM daily_sales WHERE {OF_EVENT.format("event_id")} GROUP BY event_id, currency
    UNION ALL
    SELECT 'refunded by day', event_id::text, currency, sum(refunds)::bigint, sum(tickets)::bigint, sum(amount)::bigint
    FROM daily_refunds WHERE {OF_EVENT.format("event_id")} GROUP BY event_id, currency
"""
_INBOX = "SELECT domain_event_id::text AS id FROM inbox WHERE consumer = 'analytics'"


async def story(sources: Sources) -> Story:
    """Read against the stream: what a consumer has counted is on Kafka by then, and what left the outbox, too."""
    async with sources.snapshot("analytics") as analytics:
        sales = list(await analytics.execute(text(_SALES), sources.parameters(_SALES)))
        outcomes = await sources.rows(_OUTCOMES)
        if sources.event_id:
            chosen = {"ids": [UUID(outcome.id) for outcome in outcomes]}
            inbox = await analytics.execute(text(f"{_INBOX} AND domain_event_id = ANY(:ids)"), chosen)
        else:
            inbox = await analytics.execute(text(_INBOX))
        counted = {row.id for row in inbox}
    published, complete_since, letters = await _on_kafka(sources, outcomes)
    return Story(sales, counted, outcomes, published, complete_since, letters)


async def _on_kafka(sources: Sources, outcomes: list[Row[Any]]) -> tuple[dict[str, Envelope], datetime, list[Envelope]]:
    known = {outcome.booking for outcome in outcomes}
    if not known:
        return {}, datetime.now(UTC), []
    since = min(outcome.occurred_at for outcome in outcomes) - _CLOCKS_DIFFER
    topics = [BookingEvent.topic, *(dead_letters(group) for group in CONSUMER_GROUPS)]
    reading = await sources.kafka.read(topics, since, _TOLD_TYPES.__contains__)
    published: dict[str, Envelope] = {}
    letters = []
    for envelope in reading.messages:
        if envelope.subject not in known:
            continue
        if envelope.topic == BookingEvent.topic:
            published.setdefault(envelope.id, envelope)
        else:
            letters.append(envelope)
    return published, reading.complete_since, letters
