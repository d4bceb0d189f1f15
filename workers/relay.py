"""The outbox relay: publishes the messages in the services' outboxes, at least once and in order per aggregate.

Any number of relays share an outbox: each owns some of its buckets. A message is deleted only after the broker has
acknowledged it, and is published only after the previous message of its aggregate has been deleted. So even if two
relays believe that they own a bucket, first occurrences are in order and the rest are repetitions.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from time import monotonic, time
from uuid import UUID

import psycopg
import structlog
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.kafka.client import NotDelivered, OutgoingMessage, Publisher
from adapters.kafka.cloud_events import cloud_event_headers
from config.settings import Service, Settings
from db import outbox
from db.outbox import OutboxMessage
from workers.backoff import backoff, pause

SERVICES: tuple[Service, ...] = ("identity", "catalogue", "reservation", "payment")
ROWS_PER_BUCKET = 64
_SAFETY_POLL = (2.0, 4.0)  # seconds; notifications are faster, but can be lost with a connection
_GATHER = 0.2  # seconds after a notification, so that the writes of a rush share one round
_STOPPED_FOR = (30.0, 60.0)  # seconds until the next try of a message that cannot be published
_GRACE = 5.0  # seconds that a stopping relay waits for acknowledgements

_published = Counter("seatwright_outbox_published", "Messages that the broker has acknowledged", ["service"])
_waiting = Gauge("seatwright_outbox_waiting", "Messages that wait in the outbox", ["service"])
_oldest = Gauge("seatwright_outbox_oldest_seconds", "Age of the oldest message", ["service"])
_measured_at = Gauge(
    "seatwright_outbox_measured_timestamp_seconds",
    "When the outbox was last read, or the relay was started (Unix seconds)",
    ["service"],
)
_delay = Histogram(
    "seatwright_outbox_delay_seconds",
    "From a domain event's transaction to the broker's acknowledgement",
    ["service"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
_stopped = Gauge(
    "seatwright_outbox_stopped_aggregates", "Aggregates whose next message cannot be published", ["service"]
)

log = structlog.get_logger()
_tracer = trace.get_tracer("seatwright.relay")


async def run(settings: Settings, services: Sequence[str], ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Relay the outboxes of these services until `stop`; `ready` is set when all of them are connected.

    Raises:
        ValueError: A name is not in SERVICES.
    """
    if unknown := set(services) - set(SERVICES):
        raise ValueError(f"no outbox to relay: {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}")
    missing = set(services)

    def connected(service: str) -> None:
        missing.discard(service)
        if not missing:
            ready.set()

    async with asyncio.TaskGroup() as relays:
        for service in SERVICES:
            if service in services:
                relay = Relay(service, settings.database_url(service), settings.kafka_bootstrap, stop)
                relays.create_task(relay.run(connected))


class Relay:
    """One relay of one service's outbox."""

    def __init__(self, service: str, database_url: str, bootstrap: str, stop: asyncio.Event) -> None:
        self._service = service
        self._database_url = database_url
        self._bootstrap = bootstrap
        self._stop = stop
        self._failures = 0
        self._stopped: dict[UUID, float] = {}  # when (monotonic) each stopped aggregate is tried again

    async def run(self, connected: Callable[[str], None]) -> None:
        """Relay until `stop`. After an error, session, locks and producer are opened again."""
        _measured_at.labels(self._service).set_to_current_time()  # so that a relay that never connects shows as well
        while not self._stop.is_set():
            try:
                async with (
                    outbox.relay_session(self._database_url) as connection,
                    Publisher(self._bootstrap, f"relay-{self._service}") as publisher,
                    self._grace(publisher),
                ):
                    connected(self._service)
                    log.info("relay_connected", service=self._service)
                    await self._serve(connection, publisher)
            except (SQLAlchemyError, psycopg.Error, OSError, NotDelivered) as error:
                self._failures += 1
                log.warning("relay_interrupted", service=self._service, error=_brief(error), failures=self._failures)
                await pause(self._stop, backoff(self._failures, longest=5))

    @asynccontextmanager
    async def _grace(self, publisher: Publisher) -> AsyncIterator[None]:
        """Wait a short time for acknowledgements after the stop, then give them up."""

        async def drop() -> None:
            await self._stop.wait()
            await asyncio.sleep(_GRACE)
            publisher.drop()

        waiting = asyncio.create_task(drop())
        try:
            yield
        finally:
            waiting.cancel()

    async def _serve(self, connection: AsyncConnection, publisher: Publisher) -> None:
        buckets: frozenset[int] = frozenset()
        balance_at = monotonic()
        while not self._stop.is_set():
            if monotonic() >= balance_at:
                before, buckets = buckets, await self._balance(connection)
                if buckets != before:
                    log.info("buckets_changed", service=self._service, owned=sorted(buckets))
                await self._measure(connection)
                balance_at = monotonic() + random.uniform(*_SAFETY_POLL)
            found = await outbox.waiting(connection, buckets, without=self._stopped_aggregates(), limit=ROWS_PER_BUCKET)
            if found:
                await self._publish(connection, publisher, found)
            else:
                notified = await self._notified(connection, until=balance_at)
                if outbox.RELAYS_CHANGED in notified:
                    balance_at = monotonic()
                elif notified:
                    await pause(self._stop, _GATHER)
            self._failures = 0

    async def _balance(self, connection: AsyncConnection) -> frozenset[int]:
        """Claim or release buckets until this relay has its share, or no bucket is free; return those that it owns."""
        while True:
            shares = await outbox.shares(connection)
            missing = shares.fair - len(shares.mine)
            if missing < 0:
                await outbox.release(connection, random.sample(sorted(shares.mine), -missing))
            elif missing > 0 and shares.free:
                await outbox.claim(connection, random.sample(sorted(shares.free), min(missing, len(shares.free))))
            else:
                return shares.mine

    async def _publish(
        self, connection: AsyncConnection, publisher: Publisher, messages: Sequence[OutboxMessage]
    ) -> None:
        """Publish all aggregates concurrently, and delete the acknowledged messages."""
        by_aggregate: dict[UUID, deque[OutboxMessage]] = defaultdict(deque)
        for message in messages:
            by_aggregate[message.aggregate_id].append(message)
        acknowledged: list[int] = []
        try:
            outcomes = await asyncio.gather(
                *(self._publish_in_order(publisher, ordered, acknowledged) for ordered in by_aggregate.values()),
                return_exceptions=True,
            )
            _raise_first(outcomes)
            await self._publish_refused(publisher, list(by_aggregate.values()), acknowledged)
        finally:
            if acknowledged:
                await outbox.delete(connection, acknowledged)
                _published.labels(self._service).inc(len(acknowledged))

    async def _publish_in_order(
        self, publisher: Publisher, messages: deque[OutboxMessage], acknowledged: list[int]
    ) -> NotDelivered | None:
        """Publish one aggregate's messages up to the first that is refused; the rest stays in `messages`."""
        while messages:
            try:
                await self._publish_one(publisher, messages[0])
            except NotDelivered as error:
                if not error.permanent:
                    raise
                return error
            self._acknowledge(messages.popleft(), acknowledged)
        return None

    def _acknowledge(self, message: OutboxMessage, acknowledged: list[int]) -> None:
        acknowledged.append(message.id)
        # The database's clock and ours: where they differ, so does this.
        _delay.labels(self._service).observe(max(0.0, time() - message.occurred_at.timestamp()))

    async def _publish_refused(
        self, publisher: Publisher, leftovers: Iterable[deque[OutboxMessage]], acknowledged: list[int]
    ) -> None:
        """Try refused messages again, one by one: the broker refuses a whole batch for one message in it."""
        for messages in leftovers:
            if error := await self._publish_in_order(publisher, messages, acknowledged):
                self._stop_aggregate(messages[0], error)

    async def _publish_one(self, publisher: Publisher, message: OutboxMessage) -> None:
        """Publish within the trace that caused the message, if there is one."""
        if message.traceparent is None:
            await publisher.publish(self._to_kafka(message, None))
            return
        cause = propagate.extract({"traceparent": message.traceparent})
        attributes = {"messaging.system": "kafka", "messaging.destination.name": message.topic}
        with _tracer.start_as_current_span(f"publish {message.type}", cause, SpanKind.PRODUCER, attributes) as span:
            carrier = {"traceparent": message.traceparent}
            if span.is_recording():
                propagate.inject(carrier)
            await publisher.publish(self._to_kafka(message, carrier["traceparent"]))

    def _to_kafka(self, message: OutboxMessage, traceparent: str | None) -> OutgoingMessage:
        headers = cloud_event_headers(
            id=message.domain_event_id,
            source=f"/seatwright/{self._service}",
            type=message.type,
            time=message.occurred_at,
            subject=message.aggregate_id,
            sequence=message.sequence,
            traceparent=traceparent,
        )
        return OutgoingMessage(message.topic, str(message.aggregate_id).encode(), message.data.encode(), headers)

    def _stop_aggregate(self, message: OutboxMessage, error: NotDelivered) -> None:
        self._stopped[message.aggregate_id] = monotonic() + random.uniform(*_STOPPED_FOR)
        log.error(
            "aggregate_stopped",
            service=self._service,
            aggregate_id=str(message.aggregate_id),
            domain_event_id=str(message.domain_event_id),
            type=message.type,
            error=str(error),
        )

    def _stopped_aggregates(self) -> list[UUID]:
        now = monotonic()
        self._stopped = {aggregate: until for aggregate, until in self._stopped.items() if until > now}
        return list(self._stopped)

    async def _notified(self, connection: AsyncConnection, *, until: float) -> set[str]:
        """Wait for a notification, the safety poll or the stop."""
        notified = asyncio.ensure_future(outbox.notifications(connection, max(0.0, until - monotonic())))
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({notified, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return notified.result() if notified.done() else set()
        finally:
            for waiter in (notified, stopped):
                waiter.cancel()
            await asyncio.gather(notified, stopped, return_exceptions=True)

    async def _measure(self, connection: AsyncConnection) -> None:
        backlog = await outbox.backlog(connection)
        _waiting.labels(self._service).set(backlog.rows)
        _oldest.labels(self._service).set(backlog.oldest_seconds)
        _stopped.labels(self._service).set(len(self._stopped_aggregates()))
        _measured_at.labels(self._service).set_to_current_time()


def _raise_first(outcomes: Iterable[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not (isinstance(outcome, NotDelivered) and outcome.permanent):
            raise outcome


def _brief(error: BaseException) -> str:
    """The first line; the other lines of a driver's error are the statement and its parameters."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
