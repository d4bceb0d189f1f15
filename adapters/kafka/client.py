"""Kafka: its topics, and messages out with the broker's acknowledgement."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from domain.domain_events import TOPICS

CONSUMER_GROUPS = ("notification", "search", "analytics")
GROUPS_WITH_RETRIES = ("notification",)
RETRY_WAITS: Final = {"1m": 60.0, "10m": 600.0, "1h": 3600.0}
"""Seconds before a retry beside the stream, by the name that the topic has for it."""

PARTITIONS = 6
EVENTS_KEPT: Final = timedelta(days=30)
"""How long a topic keeps domain events and retries, and so how long a consumer can be down."""

_IDLE = 5.0  # seconds between two reads of a producer's errors, while it has nothing to send
LOG_CRITICAL = 2  # the library logs every failed attempt to connect; `error_cb` gets the important errors

log = structlog.get_logger()


def dead_letters(group: str) -> str:
    """The topic for messages that a consumer group can never handle."""
    return f"{group}.dead-letters"


def retries(group: str, wait: str) -> str:
    """The topic in which messages of a consumer group wait for a retry, for as long as `wait` says."""
    return f"{group}.retries-{wait}"


def create_topics(bootstrap: str) -> None:
    """Create the missing topics; existing topics do not change.

    Dead letters stay for ever.
    """
    waiting = [retries(group, wait) for group in GROUPS_WITH_RETRIES for wait in RETRY_WAITS]
    kept = str(EVENTS_KEPT // timedelta(milliseconds=1))
    events = [(topic, {"retention.ms": kept}) for topic in (*TOPICS, *waiting)]
    letters = [(dead_letters(group), {"retention.ms": "-1"}) for group in CONSUMER_GROUPS]
    topics = [NewTopic(name, num_partitions=PARTITIONS, config=config) for name, config in events + letters]
    admin = AdminClient(
        {"bootstrap.servers": bootstrap}
    )  # kept in a variable: its destruction would end the calls in progress
    for created in admin.create_topics(topics).values():
        try:
            created.result(timeout=30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send; messages with the same key go to the same partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class NotDelivered(Exception):
    """The broker has not acknowledged a message.

    Attributes:
        permanent: This message can never be published (too large, refused); other messages can.
    """

    def __init__(self, error: KafkaError) -> None:
        super().__init__(error.str())
        self.permanent = error.code() in _PERMANENT


_PERMANENT = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError._INVALID_ARG,
    }
)


class Publisher:
    """An idempotent producer whose `publish` returns when all in-sync replicas have the message.

    Messages that are published at the same time share batches. Leaving the context drops unacknowledged messages.

    The client gives up for good when the broker contradicts what it has acknowledged, for example after it has lost the
    end of its log. Then another client takes its place: what it publishes is a new series of messages to the broker.
    """

    def __init__(self, bootstrap: str, name: str) -> None:
        self._log = ErrorLog(name)
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "client.id": name,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 2,
            "message.timeout.ms": 10_000,
            "reconnect.backoff.max.ms": 1_000,
            "error_cb": self._log,
            "log_level": LOG_CRITICAL,
        }
        self._producer = Producer(self._config)
        self._loop = asyncio.get_running_loop()
        self._delivered: list[tuple[asyncio.Future[None], KafkaError | None]] = []
        self._closing = False
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._poll, name=f"kafka-{name}", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
        self._closing = True
        self._wanted.set()
        await asyncio.to_thread(self._thread.join)

    async def publish(self, message: OutgoingMessage) -> None:
        """Publish and wait for the acknowledgement.

        Raises:
            NotDelivered: There was none; even so, the broker may have the message.
        """
        future = self._loop.create_future()
        try:
            self._producer.produce(
                message.topic,
                message.value,
                message.key,
                headers=list(message.headers),
                on_delivery=partial(self._on_delivery, future),
            )
        except BufferError as error:
            raise NotDelivered(KafkaError(KafkaError._QUEUE_FULL)) from error
        except KafkaException as error:
            if error.args[0].code() == KafkaError._FATAL:
                self._replace()
            raise NotDelivered(error.args[0]) from error
        self._wanted.set()
        await future

    def _replace(self) -> None:
        """Publish with a new client from now on; the messages that the old one has are not delivered."""
        log.error("producer_replaced", client=self._config["client.id"])
        self.drop()
        self._producer = Producer(self._config)
        self._wanted.set()

    def drop(self) -> None:
        """Give up unacknowledged messages: their `publish` raises `NotDelivered`."""
        self._producer.purge(blocking=False)

    def _on_delivery(self, future: asyncio.Future[None], error: KafkaError | None, _: Message) -> None:
        self._delivered.append((future, error))

    def _poll(self) -> None:
        producer = self._producer
        while not self._closing or len(producer) or producer is not self._producer:
            if not len(producer):
                producer = self._producer  # it may be another one, now that the one before it has reported all
            if not len(producer):
                # The client's own wait wakes up five times a second, although nothing can arrive.
                self._wanted.wait(_IDLE)
                self._wanted.clear()
            try:
                producer.poll(0.5 if len(producer) else 0)
            except KafkaException as error:  # the client has given up; it still reports the messages that it has
                self._log(error.args[0])
            if self._delivered:
                delivered, self._delivered = self._delivered, []
                with suppress(RuntimeError):  # the loop may be closed when the process ends
                    self._loop.call_soon_threadsafe(_settle, delivered)


def _settle(delivered: list[tuple[asyncio.Future[None], KafkaError | None]]) -> None:
    for future, error in delivered:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(NotDelivered(error))


class ErrorLog:
    """Logs a client's errors, each kind at most twice a minute: without a broker there is one error a second."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._quiet_until: dict[str, float] = {}

    def __call__(self, error: KafkaError) -> None:
        """Log the error, each kind at most twice a minute; a lost connection is not logged: the client tries again."""
        if error.code() == KafkaError._TRANSPORT or monotonic() < self._quiet_until.get(error.name(), 0):
            return
        self._quiet_until[error.name()] = monotonic() + 30
        log.warning("kafka_error", client=self._client, error=error.name(), fatal=error.fatal())
