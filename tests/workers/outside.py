"""Helpers for outboxes and topics: write, read, and run relays and consumers for the time of a test."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast
from uuid import UUID, uuid4

import psycopg
from confluent_kafka import Consumer, KafkaError, Message, cimpl
from sqlalchemy import make_url

from adapters.kafka.client import Headers, OutgoingMessage, Publisher
from adapters.kafka.cloud_events import cloud_event_headers
from domain.bookings import BookingStatus, Ticket
from domain.domain_events import BookingConfirmed, DomainEvent, EventPublished, SectionOnSale, Venue
from tests.waiting import eventually, in_time
from workers.consumers.runner import Runner, Subscription
from workers.relay import Relay


class Read(NamedTuple):
    key: str
    value: bytes
    headers: dict[str, str]


class TopicReader:
    """Reads a topic from its beginning, all partitions."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.messages: list[Read] = []
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": f"reader.{uuid4()}", "auto.offset.reset": "earliest"}
        )
        self._consumer.subscribe([topic])

    def poll(self) -> list[Read]:
        """Read the messages that have arrived; return all messages read so far."""
        for message in self._consumer.consume(5000, 0.2):
            assert message.error() is None, message.error()
            self.messages.append(Read((message.key() or b"").decode(), message.value() or b"", headers_of(message)))
        return self.messages

    def close(self) -> None:
        self._consumer.close()


def headers_of(message: Message) -> dict[str, str]:
    """A message's headers; a consumer gets pairs with bytes, though the type allows everything that can be sent."""
    return {name: value.decode() for name, value in cast(list[tuple[str, bytes]], message.headers() or [])}


@asynccontextmanager
async def reading(bootstrap: str, topic: str) -> AsyncIterator[TopicReader]:
    reader = TopicReader(bootstrap, topic)
    try:
        yield reader
    finally:
        await asyncio.to_thread(reader.close)


async def arrived(reader: TopicReader, distinct: int, within: float = 30) -> list[Read]:
    """Wait until so many different domain events have arrived; return all messages, repetitions included."""

    async def enough() -> bool:
        messages = await asyncio.to_thread(reader.poll)
        return len({message.headers["ce_id"] for message in messages}) >= distinct

    await eventually(enough, within=within)
    return reader.messages


def connect(url: str) -> psycopg.Connection:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def write(connection: psycopg.Connection, topic: str, aggregate: UUID, sequence: int, data: str = "{}") -> None:
    """Put one message into an outbox."""
    connection.execute(
        "INSERT INTO outbox (domain_event_id, aggregate_id, sequence, topic, type, data, traceparent, occurred_at)"
        " VALUES (%s, %s, %s, %s, 'booking.confirmed', %s::jsonb, %s, now())",
        [uuid4(), aggregate, sequence, topic, data, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    )


def waiting(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM outbox").fetchone()
    assert row
    return int(row[0])


def sequences(messages: Sequence[Read]) -> dict[str, list[int]]:
    """For each key the sequences of its domain events in the order of their first arrival."""
    seen: set[str] = set()
    order: dict[str, list[int]] = {}
    for message in messages:
        if message.headers["ce_id"] not in seen:
            seen.add(message.headers["ce_id"])
            order.setdefault(message.key, []).append(int(message.headers["ce_sequence"]))
    return order


@asynccontextmanager
async def relaying(url: str, bootstrap: str) -> AsyncIterator[asyncio.Event]:
    """A relay, as soon as it is connected; set the event to stop it."""
    stop, connected = asyncio.Event(), asyncio.Event()
    relay = asyncio.create_task(Relay("reservation", url, bootstrap, stop).run(lambda _: connected.set()))
    try:
        await in_time(connected.wait())
        yield stop
    finally:
        stop.set()
        await in_time(relay, within=30)


@asynccontextmanager
async def consuming(subscription: Subscription, bootstrap: str, publisher: Publisher) -> AsyncIterator[asyncio.Event]:
    """A member of the subscription's group, as soon as it has its partitions; set the event to stop it."""
    stop, assigned = asyncio.Event(), asyncio.Event()
    runner = asyncio.create_task(Runner(subscription, bootstrap, publisher).run(assigned.set, stop))
    try:
        await in_time(assigned.wait(), within=30)
        yield stop
    finally:
        stop.set()
        await in_time(runner, within=60)


def break_for_good(publisher: Publisher) -> None:
    """Let the client fail as after a broker that has lost the end of its log: all of its later messages are refused.

    The library has this function for tests. Its Python object begins with its header, then comes the client's address.
    """
    client = ctypes.c_void_p.from_address(id(publisher._producer) + sys.getsizeof(object()))
    fail = ctypes.CDLL(cimpl.__file__).rd_kafka_test_fatal_error
    fail(client, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, b"the broker has lost messages")


async def publish(
    publisher: Publisher,
    topic: str,
    event: DomainEvent,
    *,
    id: UUID | None = None,
    key: UUID | None = None,
    sequence: int = 1,
) -> UUID:
    """Publish a domain event as the relay does; return its id."""
    id, key = id or uuid4(), key or uuid4()
    await publisher.publish(
        OutgoingMessage(
            topic,
            str(key).encode(),
            event.model_dump_json(exclude={"type"}).encode(),
            headers(event.type, id, key, sequence),
        )
    )
    return id


def headers(type: str, id: UUID, subject: UUID, sequence: int = 1) -> Headers:
    return cloud_event_headers(
        id=id,
        source="/seatwright/reservation",
        type=type,
        time=datetime.now(UTC),
        subject=subject,
        sequence=sequence,
        traceparent=None,
    )


def a_confirmed_booking(**changes: object) -> BookingConfirmed:
    booking = BookingConfirmed(
        booking_id=uuid4(),
        event_id=uuid4(),
        user_id=uuid4(),
        status=BookingStatus.CONFIRMED,
        event_name="Sad Songs",
        starts_at=datetime(2030, 5, 4, 19, 30, tzinfo=UTC),
        amount=12050,
        currency="EUR",
        tickets=(
            Ticket(id=uuid4(), section="A", seat="A-1-12"),
            Ticket(id=uuid4(), section="Standing", seat=None),
        ),
    )
    return booking.model_copy(update=changes)


def a_published_event(**changes: object) -> EventPublished:
    event = EventPublished(
        event_id=uuid4(),
        version=1,
        organizer_id=uuid4(),
        name="Sad Songs",
        category="concert",
        venue=Venue(name="Paradiso", city="Amsterdam", country="NL", latitude=52.3622, longitude=4.8838),
        starts_at=datetime.now(UTC) + timedelta(days=30),
        timezone="Europe/Amsterdam",
        currency="EUR",
        sections=(
            SectionOnSale(name="A", kind="seated", price=5000, capacity=100),
            SectionOnSale(name="Standing", kind="general", price=3000, capacity=300),
        ),
    )
    return event.model_copy(update=changes)
