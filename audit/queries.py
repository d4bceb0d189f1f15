"""Queries that several invariants share.

Each reads the downstream system first and its source last, so that a row that arrives in between is never reported
as missing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from temporalio.client import WorkflowExecution

from adapters.kafka.client import CONSUMER_GROUPS, dead_letters
from adapters.redis.seat_locks import keys_end
from audit.connections import EVENT_FILTER, Connections
from audit.probes.kafka_log import Envelope
from audit.probes.sandbox_ledger import RecordedIntent
from audit.probes.seat_records import EventRecord, read_events
from domain.bookings import BookingStatus
from domain.domain_events import EXCHANGE_TYPE, OUTCOME_TYPES, REFUND_TYPES, TAKEN_BACK_TYPE, BookingEvent
from temporal.search_attributes import BOOKING

_MAX_CLOCK_SKEW = timedelta(hours=1)  # the broker stores the publishers' timestamps


class BookingFacts(NamedTuple):
    """The columns of a booking that the invariants compare.

    Attributes:
        amount: In minor units of `currency`, like `refunded`.
        has_just_changed: Redis and the consumers may not have the change yet.
    """

    status: str
    amount: int
    currency: str
    refunded: int
    has_just_changed: bool


async def bookings(connections: Connections) -> dict[str, BookingFacts]:
    """Every audited booking, by id."""
    statement = f"""
        SELECT id::text, status, amount, currency, refunded,
               updated_at > now() - CAST(:lag AS interval) AS has_just_changed
        FROM bookings WHERE {EVENT_FILTER.format("event_id")}
    """
    return {
        row.id: BookingFacts(row.status, row.amount, row.currency, row.refunded, row.has_just_changed)
        async for row in connections.stream(statement)
    }


async def booking_ids(connections: Connections) -> list[UUID] | None:
    """The ids of the audited events' bookings; None if all events are audited."""
    if connections.event_ids is None:
        return None
    return [row.id for row in await connections.rows("SELECT id FROM bookings WHERE event_id = ANY (:event_ids)")]


async def intents(connections: Connections) -> dict[str, list[RecordedIntent]]:
    """The provider's payment intents, by booking."""
    found: dict[str, list[RecordedIntent]] = defaultdict(list)
    async for intent in connections.provider.intents(await booking_ids(connections)):
        found[str(intent.booking_id)].append(intent)
    return found


async def exchange_of_intent(connections: Connections) -> dict[str, str]:
    """The exchange that each intent pays for; intents that pay for a booking itself are left out."""
    statement = "SELECT intent_id, exchange_id::text AS exchange FROM attempts WHERE exchange_id IS NOT NULL"
    return {row.intent_id: row.exchange async for row in connections.stream(statement, "payment") if row.intent_id}


async def seat_records(connections: Connections) -> dict[str, EventRecord]:
    """The seat records in Redis, by event."""
    return await read_events(connections.redis, connections.event_ids)


async def ends_in_redis(connections: Connections) -> dict[str, int]:
    """When sold places end in Redis, by event (ms since the epoch)."""
    statement = f"SELECT id::text, starts_at FROM events WHERE {EVENT_FILTER.format('id')}"
    return {row.id: keys_end(row.starts_at) async for row in connections.stream(statement)}


async def sagas(connections: Connections) -> dict[str, WorkflowExecution]:
    """The latest run of each booking's workflow that Temporal still retains."""
    found: dict[str, WorkflowExecution] = {}
    query = f"WorkflowType = 'Booking' AND {_workflows_of(connections)}"
    async for saga in connections.temporal.list_workflows(query, page_size=1000):
        booking = str(saga.typed_search_attributes.get(BOOKING))
        if booking not in found or found[booking].start_time < saga.start_time:
            found[booking] = saga
    return found


_BROUGHT_BACK = """
    SELECT b.id::text FROM bookings b JOIN domain_events e ON e.aggregate_id = b.id AND e.sequence = b.version
    WHERE b.id = ANY (:ids) AND e.type = 'booking.reinstated'
"""


async def running(connections: Connections) -> set[str]:
    """The bookings for which a saga is running.

    A late payment's workflow is a booking's saga only while the booking is back for its money. Before and after that it
    watches its intent, for days, whatever becomes of the booking. The booking's last domain event tells: its workflow
    shows no status for this, or still shows one for which it waited before.
    """
    found, late = set[str](), set[str]()
    async for workflow in _running(connections):
        of_its_kind = late if workflow.workflow_type == "LatePayment" else found
        of_its_kind.add(str(workflow.typed_search_attributes.get(BOOKING)))
    watched = [UUID(booking) for booking in late - found]
    return found | {row.id for row in (await connections.rows(_BROUGHT_BACK, ids=watched) if watched else ())}


def _running(connections: Connections) -> AsyncIterator[WorkflowExecution]:
    query = f"ExecutionStatus = 'Running' AND {_workflows_of(connections)}"
    return connections.temporal.list_workflows(query, page_size=1000)


def _workflows_of(connections: Connections) -> str:
    if connections.event_ids is None:
        return "SeatwrightBooking IS NOT NULL"
    quoted = ", ".join(f"'{event}'" for event in connections.event_ids)
    return f"SeatwrightEvent IN ({quoted})"


BOOKINGS_IN_EXCHANGE = "SELECT booking_id FROM exchanges WHERE state IN ('pending', 'action_required', 'committed')"
"""The bookings with an open exchange: they own the new seat, claimed, besides their own seats."""

_MOVES_MONEY = (
    BookingStatus.PAYING,
    BookingStatus.ACTION_REQUIRED,
    BookingStatus.NEEDS_ATTENTION,
    BookingStatus.REFUNDING,
)


async def unsettled(connections: Connections) -> set[str]:
    """The bookings whose money a running saga may still move, so that no amount can be checked yet."""
    ids = [f"'{status}'" for status in _MOVES_MONEY]
    statement = f"""
        SELECT id::text FROM bookings
        WHERE (status IN ({", ".join(ids)}) OR id IN ({BOOKINGS_IN_EXCHANGE})) AND {EVENT_FILTER.format("event_id")}
    """
    candidates = {row.id for row in await connections.rows(statement)}
    return candidates and candidates & await running(connections)


async def failing_tasks(connections: Connections) -> dict[str, int]:
    """How often the current task of a saga that moves money has been tried; 0 where it has none.

    By booking, or by the workflow's id where it has no booking among its search attributes.
    """
    moving = await unsettled(connections)
    tried: dict[str, int] = defaultdict(int)
    async for workflow in _running(connections):
        booking = str(workflow.typed_search_attributes.get(BOOKING))
        # Late money belongs to a booking that has ended.
        if booking in moving or workflow.workflow_type == "LatePayment":
            tried[booking] = max(tried[booking], await _tries(connections, workflow))
    async for workflow in connections.temporal.list_workflows(_without_booking(connections), page_size=1000):
        tried[workflow.id] = await _tries(connections, workflow)
    return tried


async def _tries(connections: Connections, workflow: WorkflowExecution) -> int:
    saga = connections.temporal.get_workflow_handle(workflow.id, run_id=workflow.run_id)
    return int((await saga.describe()).raw_description.pending_workflow_task.attempt)


def _without_booking(connections: Connections) -> str:
    """The running workflows that move money and show neither booking nor event; of chosen events, the cancellations."""
    which = "WorkflowType IN ('EventCancellation', 'RefundTakenBack', 'ProviderRefunds')"
    if connections.event_ids is not None:
        cancellations = ", ".join(f"'cancel-event-{event}'" for event in connections.event_ids)
        which = f"WorkflowId IN ({cancellations})"
    return f"ExecutionStatus = 'Running' AND {which}"


async def excused(connections: Connections) -> Counter[str]:
    """How many bookings the checks of money leave out, by status: a running workflow may still move their money."""
    moving, known = await unsettled(connections), await bookings(connections)
    return Counter(known[booking].status for booking in moving & known.keys())


class Deliveries(NamedTuple):
    """The outcomes of bookings, as delivered from Postgres to Kafka and to the consumers.

    Attributes:
        sales: The totals in analytics: event, currency, bookings, tickets, revenue; one row for the overall total, one
            for all sales by day, one for all refunds by day.
        counted: The ids of the domain events in the inbox of analytics.
        outcomes: The outcome events, and the events of exchanges and of refunds that succeeded or were taken back;
            `waits`: it is still in the outbox; `is_early`: it is too recent for a verdict.
        published: The outcomes on Kafka by id, each at its first offset.
        unrecorded: Those of them that Postgres does not have.
        complete_since: Kafka may have deleted messages that are older than this (UTC).
        dead_letters: The outcomes that a consumer moved to its dead letters.
    """

    sales: list[Row[Any]]
    counted: set[str]
    outcomes: list[Row[Any]]
    published: dict[str, Envelope]
    unrecorded: list[Envelope]
    complete_since: datetime
    dead_letters: list[Envelope]


_DELIVERED_TYPES = OUTCOME_TYPES | REFUND_TYPES | {EXCHANGE_TYPE, TAKEN_BACK_TYPE}
_OUTCOMES = f"""
    SELECT e.aggregate_id::text AS booking, e.id::text AS id, e.type, e.occurred_at, b.event_id::text AS event,
           b.currency, (e.data ->> 'amount')::bigint AS amount,
           CASE jsonb_typeof(e.data -> 'tickets') WHEN 'array' THEN jsonb_array_length(e.data -> 'tickets')
           ELSE coalesce((e.data ->> 'tickets')::integer, 0) END AS tickets,
           coalesce((e.data ->> 'was_refunded')::boolean, false) AS was_refunded,
           o.id IS NOT NULL AS waits, e.occurred_at > now() - CAST(:lag AS interval) AS is_early
    FROM bookings b JOIN domain_events e ON e.aggregate_id = b.id
    LEFT JOIN outbox o ON o.domain_event_id = e.id
    WHERE e.type IN ({", ".join(f"'{name}'" for name in sorted(_DELIVERED_TYPES))})
      AND {EVENT_FILTER.format("b.event_id")}
"""
_SALES = f"""
    SELECT 'total' AS figure, event_id::text AS event, currency, bookings, tickets, revenue
    FROM sales WHERE {EVENT_FILTER.format("event_id")}
    UNION ALL
    SELECT 'sold by day', event_id::text, currency, sum(bookings)::bigint, sum(tickets)::bigint, sum(revenue)::bigint
    FROM daily_sales WHERE {EVENT_FILTER.format("event_id")} GROUP BY event_id, currency
    UNION ALL
    SELECT 'refunded by day', event_id::text, currency, sum(refunds)::bigint, sum(tickets)::bigint, sum(amount)::bigint
    FROM daily_refunds WHERE {EVENT_FILTER.format("event_id")} GROUP BY event_id, currency
"""
_INBOX = "SELECT domain_event_id::text AS id FROM inbox WHERE consumer = 'analytics'"


async def deliveries(connections: Connections) -> Deliveries:
    """Read analytics, then Postgres, then Kafka.

    In this order, everything that analytics has counted and everything that has left the outbox is already on Kafka.
    What Kafka has beyond that may have been committed in between, so Postgres is asked for it once more.
    """
    async with connections.read_only("analytics") as analytics:
        sales = list(await analytics.execute(text(_SALES), connections.parameters(_SALES)))
        outcomes = await connections.rows(_OUTCOMES)
        if connections.event_ids is not None:
            chosen = {"ids": [UUID(outcome.id) for outcome in outcomes]}
            inbox = await analytics.execute(text(f"{_INBOX} AND domain_event_id = ANY(:ids)"), chosen)
        else:
            inbox = await analytics.execute(text(_INBOX))
        counted = {row.id for row in inbox}
    published, complete_since, dead = await _on_kafka(connections)
    unrecorded = await _unrecorded(connections, published.values(), outcomes)
    return Deliveries(sales, counted, outcomes, published, unrecorded, complete_since, dead)


_EARLIEST = f"SELECT min(created_at) AS at FROM bookings WHERE {EVENT_FILTER.format('event_id')}"
_BEGINNING = datetime.fromtimestamp(0, UTC)


async def _on_kafka(connections: Connections) -> tuple[dict[str, Envelope], datetime, list[Envelope]]:
    """The outcomes of the audited bookings, or all: also of a booking that has none in Postgres, or is not there."""
    ids = await booking_ids(connections)
    if ids == []:
        return {}, datetime.now(UTC), []
    audited = None if ids is None else {str(id) for id in ids}
    [earliest] = await connections.rows(_EARLIEST)
    since = earliest.at - _MAX_CLOCK_SKEW if earliest.at else _BEGINNING
    topics = [BookingEvent.topic, *(dead_letters(group) for group in CONSUMER_GROUPS)]
    reading = await connections.kafka.read(topics, since, _DELIVERED_TYPES.__contains__)
    published: dict[str, Envelope] = {}
    dead = []
    for envelope in reading.messages:
        if audited is not None and envelope.subject not in audited:
            continue
        if envelope.topic == BookingEvent.topic:
            published.setdefault(envelope.id, envelope)
        else:
            dead.append(envelope)
    return published, reading.complete_since, dead


_RECORDED = "SELECT id::text, aggregate_id::text AS booking FROM domain_events WHERE id = ANY (:ids)"


async def _unrecorded(
    connections: Connections, published: Iterable[Envelope], outcomes: Iterable[Row[Any]]
) -> list[Envelope]:
    known = {(outcome.id, outcome.booking) for outcome in outcomes}
    suspects = [envelope for envelope in published if (envelope.id, envelope.subject) not in known]
    ids = [UUID(envelope.id) for envelope in suspects if _UUID.fullmatch(envelope.id)]
    newer = {(row.id, row.booking) for row in (await connections.rows(_RECORDED, ids=ids) if ids else ())}
    return [envelope for envelope in suspects if (envelope.id, envelope.subject) not in newer]


_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
