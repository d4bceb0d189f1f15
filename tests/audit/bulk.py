"""Writes a long history of ended bookings, in every system that the audit reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
from confluent_kafka import Consumer, ConsumerGroupState, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from temporalio.client import Client

from adapters.kafka.client import PARTITIONS
from adapters.kafka.cloud_events import cloud_event_headers
from config.settings import Settings, secret
from domain.bookings import BookingRequest
from domain.domain_events import BookingEvent
from temporal.connection import connect_worker
from tests.waiting import eventually
from workflows.booking import BookingWorkflow
from workflows.ids import start_booking

GROUPS = ("notification", "analytics")
"""The consumer groups of booking events."""

_AT_ONCE = 2000
_STARTS_AT_ONCE = 50
_ATTEMPTS = {"confirmed": "captured", "failed": "refunded", "expired": "declined"}
"""The state of attempt and intent for each final status of a booking with a payment."""


@contextmanager
def database(settings: Settings, service: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection to a service's database, in one transaction without triggers."""
    dsn = secret(settings.postgres_admin_dsn)
    with psycopg.connect(dsn, dbname=f"seatwright_{service}") as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def seed(settings: Settings, events: Sequence[UUID], bookings: int) -> list[UUID]:
    """Write this many ended bookings for each event, except in Temporal and Redis; returns some ids.

    No consumer may be running: what they would have done is written here, and their offsets are moved beyond it.
    """
    statement = (Path(__file__).parent / "bulk.sql").read_text()
    with database(settings, "reservation") as reservation:
        # One parameterized statement at a time is all that the protocol takes.
        with psycopg.ClientCursor(reservation) as cursor:
            cursor.execute(statement, {"events": list(events), "bookings": bookings})
        _pay(settings, reservation)
        _count(settings, reservation)
        reservation.commit()
        _publish(settings, reservation)
        return [row[0] for row in reservation.execute("SELECT id FROM seeded ORDER BY id LIMIT 10000")]


def _pay(settings: Settings, reservation: psycopg.Connection) -> None:
    """Write the provider's intents and the payment attempts."""
    paid = reservation.execute(
        "SELECT id, amount, currency, status, created_at FROM seeded WHERE 'paying' = ANY (steps)"
    ).fetchall()
    with (
        httpx2.Client(base_url=settings.sandbox_url, timeout=60) as sandbox,
        database(settings, "payment") as payment,
    ):
        _copy(sandbox, payment, paid)
        # Without triggers nothing is booked by itself.
        payment.execute(
            "SELECT book_attempt(attempts) FROM attempts WHERE booking_id = ANY (%s)", [[row[0] for row in paid]]
        )


def _copy(sandbox: httpx2.Client, payment: psycopg.Connection, paid: list[tuple[Any, ...]]) -> None:
    with payment.cursor().copy(
        "COPY attempts (booking_id, number, provider, amount, currency, state, intent_id, opened_at, closed_at)"
        " FROM STDIN"
    ) as copy:
        for start in range(0, len(paid), _AT_ONCE):
            some = paid[start : start + _AT_ONCE]
            intents = [
                {"booking_id": str(id), "amount": amount, "currency": currency.lower(), "end": _ATTEMPTS[status]}
                for id, amount, currency, status, _ in some
            ]
            answer = sandbox.post("/_sandbox/intents/import", json={"intents": intents})
            assert answer.status_code == 201, answer.text
            for (id, amount, currency, status, at), intent in zip(some, answer.json()["ids"], strict=True):
                state = _ATTEMPTS[status]
                closed_at = None if state == "captured" else at
                copy.write_row([id, 1, "stripe", amount, currency, state, intent, at, closed_at])


def _count(settings: Settings, reservation: psycopg.Connection) -> None:
    """Write the totals and the inbox of analytics."""
    sums = """
        SELECT s.event_id, s.currency, {day} count(*), sum(2 + s.standing), sum(s.amount)
        FROM seeded s JOIN told t ON t.aggregate_id = s.id AND t.type = 'booking.confirmed'
        GROUP BY s.event_id, s.currency {group}
    """
    confirmed = reservation.execute("SELECT id FROM told WHERE type = 'booking.confirmed'").fetchall()
    with database(settings, "analytics") as analytics, analytics.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO sales VALUES (%s, %s, %s, %s, %s)",
            reservation.execute(sums.format(day="", group="")).fetchall(),
        )
        daily = sums.format(
            day="(t.occurred_at AT TIME ZONE 'UTC')::date,", group=", (t.occurred_at AT TIME ZONE 'UTC')::date"
        )
        cursor.executemany(
            "INSERT INTO daily_sales VALUES (%s, %s, %s, %s, %s, %s)", reservation.execute(daily).fetchall()
        )
        with cursor.copy("COPY inbox (consumer, domain_event_id) FROM STDIN") as copy:
            for (id,) in confirmed:
                copy.write_row(["analytics", id])


def _publish(settings: Settings, reservation: psycopg.Connection) -> None:
    """Publish to Kafka, and commit the offsets of all consumer groups."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, "linger.ms": 50, "compression.type": "lz4"})
    with reservation.cursor("told") as rows:
        rows.itersize = _AT_ONCE
        rows.execute("SELECT id, aggregate_id, sequence, type, data::text, occurred_at FROM told ORDER BY occurred_at")
        for id, aggregate, sequence, type, data, occurred_at in rows:
            headers = cloud_event_headers(
                id=id,
                source="/seatwright/reservation",
                type=type,
                time=occurred_at,
                subject=aggregate,
                sequence=sequence,
                traceparent=None,
            )
            while True:
                try:
                    producer.produce(BookingEvent.topic, data.encode(), str(aggregate).encode(), headers=list(headers))
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
    assert producer.flush(60) == 0
    for group in GROUPS:
        _move_to_end(settings, group)


def _move_to_end(settings: Settings, group: str) -> None:
    consumer = _member(settings, group)
    partitions = [TopicPartition(BookingEvent.topic, number) for number in range(PARTITIONS)]
    ends = [consumer.get_watermark_offsets(where)[1] for where in partitions]
    moved = [TopicPartition(where.topic, where.partition, end) for where, end in zip(partitions, ends, strict=True)]
    consumer.commit(offsets=moved, asynchronous=False)
    consumer.close()


def is_deserted(settings: Settings, group: str) -> bool:
    """Whether the group has no member, including killed ones that still count; then its offsets can be moved."""
    kafka = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    return bool(kafka.describe_consumer_groups([group])[group].result().state is ConsumerGroupState.EMPTY)


def lag(settings: Settings, group: str) -> int:
    """The number of reservation messages that a group has not handled."""
    consumer = _member(settings, group)
    partitions = [TopicPartition(BookingEvent.topic, number) for number in range(PARTITIONS)]
    done = consumer.committed(partitions, timeout=60)
    behind = sum(consumer.get_watermark_offsets(where)[1] - max(0, where.offset) for where in done)
    consumer.close()
    return behind


def _member(settings: Settings, group: str) -> Consumer:
    return Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": group, "enable.auto.commit": False})


async def run_sagas(settings: Settings, events: Sequence[UUID], ended: Sequence[UUID], live: int) -> None:
    """Start a real workflow for each ended booking, which adopts its row, and some that hold a seat."""
    client = await connect_worker(settings)
    requests = await asyncio.to_thread(_requests, settings, ended)
    requests += [_hold(events[n % len(events)], seat=n // len(events)) for n in range(live)]
    turn = asyncio.Semaphore(_STARTS_AT_ONCE)

    async def start(request: BookingRequest) -> None:
        async with turn:
            await client.start_workflow(
                BookingWorkflow.run,
                request,
                **start_booking(request),
            )

    await asyncio.gather(*map(start, requests))

    async def settled() -> bool:
        return await asyncio.to_thread(_held, settings, events) == live and await _closed(client, events) == len(ended)

    await eventually(settled, within=300, every=0.5)


def _held(settings: Settings, events: Sequence[UUID]) -> int:
    with database(settings, "reservation") as reservation:
        statement = "SELECT count(*) FROM bookings WHERE event_id = ANY (%s) AND status = 'held'"
        [count] = reservation.execute(statement, [list(events)]).fetchone() or [0]
    return int(count)


async def _closed(client: Client, events: Sequence[UUID]) -> int:
    chosen = ", ".join(f"'{event}'" for event in events)
    query = f"WorkflowType = 'Booking' AND SeatwrightEvent IN ({chosen}) AND ExecutionStatus = 'Completed'"
    return (await client.count_workflows(query)).count


def _requests(settings: Settings, bookings: Sequence[UUID]) -> list[BookingRequest]:
    with database(settings, "reservation") as reservation:
        rows: list[Any] = reservation.execute(
            "SELECT id, user_id, event_id, seats, quantities FROM bookings WHERE id = ANY (%s)", [list(bookings)]
        ).fetchall()
    names = ("id", "user_id", "event_id", "seats", "quantities")
    return [_request(**dict(zip(names, row, strict=True))) for row in rows]


def _hold(event: UUID, seat: int) -> BookingRequest:
    name = f"B-{seat // 100 + 1}-{seat % 100 + 1}"
    return _request(id=uuid4(), user_id=uuid4(), event_id=event, seats=(name,), quantities={})


def _request(**what: Any) -> BookingRequest:
    return BookingRequest(**what, body_sha256="", hold_seconds=3600)
