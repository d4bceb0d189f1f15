"""The relay keeps each aggregate's order and loses no message if something is killed, down or too large."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from time import time
from uuid import UUID, uuid4

import psycopg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.kafka.client import Publisher
from adapters.kafka.cloud_events import CloudEvent
from config.settings import Settings
from db import outbox
from stack import Stack
from tests.scale import FULL
from tests.waiting import eventually
from tests.workers.conftest import MakeTopic
from tests.workers.outside import (
    a_confirmed_booking,
    arrived,
    connect,
    consuming,
    reading,
    relaying,
    sequences,
    waiting,
    write,
)
from workers import relay
from workers.consumers.analytics import Analytics
from workers.consumers.runner import Subscription


@contextmanager
def relay_process(url: str, bootstrap: str) -> Iterator[subprocess.Popen[bytes]]:
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen([sys.executable, "-m", "tests.workers.relay_process", url, bootstrap], cwd=root)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def last_read() -> float:
    """When a relay of this process has read the outbox, as its metrics say."""
    labels = {"service": "reservation"}
    return REGISTRY.get_sample_value("seatwright_outbox_measured_timestamp_seconds", labels) or 0.0


def owners(connection: psycopg.Connection) -> list[int]:
    """How many buckets each relay owns, most first."""
    rows = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY pid ORDER BY 1 DESC"
    )
    return [row[0] for row in rows]


async def test_messages_are_cloud_events_in_binary_mode(outbox_url: str, topic: str, bootstrap: str) -> None:
    aggregate = uuid4()
    with connect(outbox_url) as connection:
        write(connection, topic, aggregate, 7, json.dumps({"type": "booking.confirmed", "amount": 12}))
    async with relaying(outbox_url, bootstrap), reading(bootstrap, topic) as reader:
        (message,) = await arrived(reader, 1)
    assert message.key == str(aggregate)
    assert json.loads(message.value) == {"amount": 12}
    assert UUID(message.headers.pop("ce_id"))
    assert message.headers.pop("ce_time").endswith("Z")
    assert message.headers == {
        "ce_specversion": "1.0",
        "ce_source": "/seatwright/reservation",
        "ce_type": "booking.confirmed",
        "ce_subject": str(aggregate),
        "ce_sequence": "7",
        "content-type": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }


async def test_several_relays_keep_the_order_even_if_one_is_killed(outbox_url: str, topic: str, bootstrap: str) -> None:
    aggregates, each = [uuid4() for _ in range(40)], 40 if FULL else 20

    async def write_all(connection: psycopg.Connection, begin: int, end: int) -> None:
        for sequence in range(begin, end):
            with connection.transaction():
                for aggregate in aggregates:
                    write(connection, topic, aggregate, sequence)
            await asyncio.sleep(0)

    with (
        connect(outbox_url) as connection,
        relay_process(outbox_url, bootstrap) as killed,
        relay_process(outbox_url, bootstrap),
    ):
        await eventually(lambda: owners(connection) == [8, 8])
        await write_all(connection, 1, each // 2)
        killed.kill()
        await write_all(connection, each // 2, each + 1)
        async with reading(bootstrap, topic) as reader:
            messages = await arrived(reader, len(aggregates) * each)
        await eventually(lambda: waiting(connection) == 0)
    assert sequences(messages) == {str(aggregate): list(range(1, each + 1)) for aggregate in aggregates}


async def test_relays_share_the_buckets_evenly_as_they_come_and_go(outbox_url: str, bootstrap: str) -> None:
    with connect(outbox_url) as connection:
        async with AsyncExitStack() as relays:
            for expected in ([16], [8, 8], [6, 5, 5], [4, 4, 4, 4], [4, 3, 3, 3, 3]):
                last = await relays.enter_async_context(relaying(outbox_url, bootstrap))
                await eventually(lambda expected=expected: owners(connection) == expected)  # type: ignore[misc]
            last.set()
            await eventually(lambda: owners(connection) == [4, 4, 4, 4])
        assert owners(connection) == []


async def test_a_notification_wakes_the_relay(
    outbox_url: str, topic: str, bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_SAFETY_POLL", (300, 300))
    async with relaying(outbox_url, bootstrap):
        with connect(outbox_url) as connection:
            for sequence in (1, 2):
                write(connection, topic, uuid4(), sequence)
                await eventually(lambda: waiting(connection) == 0)


async def test_a_relay_killed_before_the_delete_repeats_and_consumers_count_once(
    outbox_url: str,
    topic: str,
    group: str,
    bootstrap: str,
    publisher: Publisher,
    analytics: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delete, crashes = outbox.delete, 0

    async def crash_first(connection: AsyncConnection, ids: Sequence[int]) -> None:
        nonlocal crashes
        crashes += 1
        if crashes == 1:
            raise OSError("the relay dies here")
        await delete(connection, ids)

    monkeypatch.setattr(outbox, "delete", crash_first)
    event = uuid4()
    bookings = [a_confirmed_booking(event_id=event) for _ in range(3)]
    with connect(outbox_url) as connection:
        for booking in bookings:
            write(connection, topic, booking.booking_id, 1, booking.model_dump_json())
        async with relaying(outbox_url, bootstrap):
            await eventually(lambda: waiting(connection) == 0)
    async with reading(bootstrap, topic) as reader:
        await eventually(lambda: len(reader.poll()) == 6)
    handled: list[UUID] = []

    async def handle(received: CloudEvent) -> None:
        await Analytics(analytics).handle(received)
        handled.append(received.id)

    async with consuming(Subscription(group, (topic,), handle), bootstrap, publisher):
        await eventually(lambda: len(handled) == 6)
    async with analytics.connect() as database:
        (sales,) = await database.exec_driver_sql("SELECT event_id, bookings, tickets, revenue FROM sales")
    assert tuple(sales) == (event, 3, 6, 3 * 12050)


async def test_a_message_that_is_too_large_stops_its_aggregate_only(
    outbox_url: str, topic: str, bootstrap: str
) -> None:
    stopped, neighbours = uuid4(), [uuid4() for _ in range(50)]
    with connect(outbox_url) as connection:
        with connection.transaction():
            write(connection, topic, stopped, 1)
            write(connection, topic, stopped, 2, json.dumps({"padding": "x" * 2_000_000}))
            write(connection, topic, stopped, 3)
            for neighbour in neighbours:
                write(connection, topic, neighbour, 1)
        async with relaying(outbox_url, bootstrap), reading(bootstrap, topic) as reader:
            messages = await arrived(reader, 51)
            await eventually(lambda: waiting(connection) == 2)
    assert sequences(messages)[str(stopped)] == [1]


async def test_a_message_that_the_broker_refuses_does_not_stop_other_messages(
    outbox_url: str, new_topic: MakeTopic, bootstrap: str
) -> None:
    topic = new_topic(f"test.{uuid4().hex}", {"max.message.bytes": "20000"})
    stopped, neighbours = uuid4(), [uuid4() for _ in range(100)]
    with connect(outbox_url) as connection:
        with connection.transaction():
            write(connection, topic, stopped, 1, json.dumps({"padding": token_hex(20_000)}))
            for neighbour in neighbours:
                write(connection, topic, neighbour, 1, json.dumps({"padding": token_hex(1_000)}))
        async with relaying(outbox_url, bootstrap), reading(bootstrap, topic) as reader:
            messages = await arrived(reader, 100)
            await eventually(lambda: waiting(connection) == 1)
    assert sequences(messages) == {str(neighbour): [1] for neighbour in neighbours}


async def test_a_lost_database_session_is_opened_again(outbox_url: str, topic: str, bootstrap: str) -> None:
    async with relaying(outbox_url, bootstrap):
        with connect(outbox_url) as connection:
            await eventually(lambda: owners(connection) == [16])
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            write(connection, topic, uuid4(), 1)
            await eventually(lambda: waiting(connection) == 0)


async def test_an_unknown_service_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="no outbox to relay: search"):
        await relay.run(settings, ["search"], asyncio.Event(), asyncio.Event())


@pytest.mark.thorough
@pytest.mark.disruptive
async def test_messages_wait_while_kafka_is_down(outbox_url: str, topic: str, bootstrap: str, stack: Stack) -> None:
    aggregate = uuid4()
    with connect(outbox_url) as connection:
        async with relaying(outbox_url, bootstrap):
            write(connection, topic, aggregate, 1)
            await eventually(lambda: waiting(connection) == 0)
            await asyncio.to_thread(stack.stop, "kafka")
            try:
                for sequence in range(2, 20):
                    write(connection, topic, aggregate, sequence)
                assert waiting(connection) == 18
            finally:
                await asyncio.to_thread(stack.start, "kafka")
            await eventually(lambda: waiting(connection) == 0, within=60)
        async with reading(bootstrap, topic) as reader:
            messages = await arrived(reader, 19)
    assert sequences(messages) == {str(aggregate): list(range(1, 20))}


async def test_a_relay_shows_when_it_last_read_its_outbox_even_if_it_never_could(
    outbox_url: str, bootstrap: str
) -> None:
    away = make_url(outbox_url).set(port=1).render_as_string(hide_password=False)
    stop, began = asyncio.Event(), time()
    without_postgres = asyncio.create_task(relay.Relay("reservation", away, bootstrap, stop).run(lambda _: None))
    await eventually(lambda: last_read() >= began)
    started = last_read()
    async with relaying(outbox_url, bootstrap):
        await eventually(lambda: last_read() > started)
    stop.set()
    await without_postgres
