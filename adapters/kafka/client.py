"""Kafka: messages out with the broker's acknowledgement, messages in by partition."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, Self

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # `__all__` lacks it
from confluent_kafka.cimpl import NewTopic

from domain.domain_events import TOPICS

CONSUMER_GROUPS = ("notification", "search", "analytics")
PARTITIONS = 6
_DAY_MS = 86_400_000
_POLL = 0.5
_BATCH = 100
_GATHER = 0.2  # seconds after a message, so that those that follow it closely share a round and a commit
_LAG_EVERY = 5.0  # seconds
_LAG_TIMEOUT = 1.0  # seconds for the broker's answer
_END = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_LOG_CRITICAL = 2  # the library logs every failed attempt to connect; `error_cb` gets the important errors

log = structlog.get_logger()


def dead_letters(group: str) -> str:
    """The topic for messages that a consumer group can never handle."""
    return f"{group}.dead-letters"


def create_topics(bootstrap: str) -> None:
    """Create the missing topics; existing topics do not change.

    Domain events stay for thirty days, so that a consumer can be down for a long time. Dead letters stay for ever.
    """
    events = [(topic, {"retention.ms": str(30 * _DAY_MS)}) for topic in TOPICS]
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
    """

    def __init__(self, bootstrap: str, name: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": name,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 2,
                "message.timeout.ms": 10_000,
                "reconnect.backoff.max.ms": 1_000,
                "error_cb": _ErrorLog(name),
                "log_level": _LOG_CRITICAL,
            }
        )
        self._loop = asyncio.get_running_loop()
        self._delivered: list[tuple[asyncio.Future[None], KafkaError | None]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._poll, name=f"kafka-{name}", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()
        self._closing = True
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
            raise NotDelivered(error.args[0]) from error
        await future

    def drop(self) -> None:
        """Give up unacknowledged messages: their `publish` raises `NotDelivered`."""
        self._producer.purge(blocking=False)

    def _on_delivery(self, future: asyncio.Future[None], error: KafkaError | None, _: Message) -> None:
        self._delivered.append((future, error))

    def _poll(self) -> None:
        while not self._closing or len(self._producer):
            self._producer.poll(0.5)
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


class _ErrorLog:
    """Logs a client's errors, each kind at most twice a minute: without a broker there is one error a second."""

    def __init__(self, client: str) -> None:
        self._client = client
        self._quiet_until: dict[str, float] = {}

    def __call__(self, error: KafkaError) -> None:
        if error.code() == KafkaError._TRANSPORT or monotonic() < self._quiet_until.get(error.name(), 0):
            return
        self._quiet_until[error.name()] = monotonic() + 30
        log.warning("kafka_error", client=self._client, error=error.name(), fatal=error.fatal())


class Partition(NamedTuple):
    """A partition of a topic; messages have an order only within it."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message as read; `offset` is its position in the partition."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Subscriber:
    """One member of a consumer group.

    Every call to the client happens in one dedicated thread, because the client does not allow concurrent use. The
    rebalance callbacks run in that thread, too, and wait there for the event loop.

    Attributes:
        lag: For each assigned partition, how many messages follow the last one that `poll` returned.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topics: Iterable[str],
        *,
        on_assigned: Callable[[], None],
        on_revoked: Callable[[AbstractSet[Partition]], Awaitable[Mapping[Partition, int]]],
    ) -> None:
        """Join the group.

        Args:
            bootstrap: Addresses of brokers, `host:port` with a comma between.
            group: The consumer group; its members share the partitions.
            topics: The topics to read.
            on_assigned: Called in the loop after each assignment, even if this member got no partition.
            on_revoked: Called in the loop before partitions go to another member. It finishes the work on them, and
                returns the offsets to commit, which are those of the next message to handle.
        """
        self.lag: dict[Partition, int] = {}
        self._measure_lag_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._paused: set[Partition] = set()
        self._committing: dict[Partition, int] = {}
        self._not_committed: set[Partition] = set()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{group}")
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "client.id": group,
                "enable.auto.commit": False,
                "on_commit": self._note_commit,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 1_000,
                "reconnect.backoff.max.ms": 1_000,
                # Prefetched messages are lost when a partition is paused.
                "queued.min.messages": 1_000,
                "queued.max.messages.kbytes": 4_096,
                "error_cb": _ErrorLog(group),
                "log_level": _LOG_CRITICAL,
            }
        )
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "client.id": group, "log_level": _LOG_CRITICAL})
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    async def poll(self, commit: Mapping[Partition, int], paused: AbstractSet[Partition]) -> list[IncomingMessage]:
        """Commit offsets, then wait briefly for messages of the partitions that are not paused."""
        return await self._loop.run_in_executor(self._executor, self._poll, commit, paused)

    async def close(self) -> None:
        """Leave the group; `on_revoked` is called for all assigned partitions."""
        await self._loop.run_in_executor(self._executor, self._consumer.close)
        self._executor.shutdown()

    def _poll(self, commit: Mapping[Partition, int], paused: AbstractSet[Partition]) -> list[IncomingMessage]:
        self._commit({**self._to_commit_again(), **commit}, wait=False)
        self._pause(paused)
        self._measure_lag()
        first = self._consumer.poll(_POLL)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(_BATCH - 1, _GATHER)]
        incoming = [_incoming(message) for message in messages if not _is_error(message)]
        assigned = self._assignment()  # a rebalance may have come between the two calls
        return [message for message in incoming if message.partition in assigned]

    def _assignment(self) -> set[Partition]:
        return {Partition(held.topic, held.partition) for held in self._consumer.assignment()}

    def _commit(self, offsets: Mapping[Partition, int], *, wait: bool) -> None:
        if not offsets:
            return
        self._committing.update(offsets)
        positions = [TopicPartition(*partition, offset) for partition, offset in offsets.items()]
        try:
            if wait:
                self._consumer.commit(offsets=positions, asynchronous=False)
            else:
                self._consumer.commit(offsets=positions)
        except KafkaException as error:
            # Uncommitted messages are delivered again; nothing is lost.
            self._not_committed |= offsets.keys()
            log.warning("offsets_not_committed", error=error.args[0].name())

    def _note_commit(self, error: KafkaError | None, positions: list[TopicPartition]) -> None:
        """Called by the client during a poll, with the result of an earlier commit."""
        refused = {Partition(each.topic, each.partition) for each in positions if error or each.error}
        if refused:
            self._not_committed |= refused
            log.warning("offsets_not_committed", error=error.name() if error else "of some partitions")

    def _to_commit_again(self) -> dict[Partition, int]:
        """Failed commits: a quiet partition may get no message for a long time, and so no other commit."""
        failed, self._not_committed = self._not_committed, set()
        return {partition: self._committing[partition] for partition in failed & self._committing.keys()}

    def _pause(self, paused: AbstractSet[Partition]) -> None:
        assigned = self._assignment()
        self._consumer.pause([TopicPartition(*partition) for partition in (paused & assigned) - self._paused])
        self._consumer.resume([TopicPartition(*partition) for partition in (self._paused & assigned) - paused])
        self._paused = set(paused & assigned)

    def _measure_lag(self) -> None:
        """Ask the broker, because a paused partition fetches nothing, and so does not know its lag."""
        if monotonic() < self._measure_lag_at:
            return
        self._measure_lag_at = monotonic() + _LAG_EVERY
        with suppress(KafkaException):
            positions = [each for each in self._consumer.position(self._consumer.assignment()) if each.offset >= 0]
            if not positions:
                self.lag = {}
                return
            # One request on a connection of its own: on the consumer's, each partition waits for the fetch before it.
            ends_of = {TopicPartition(each.topic, each.partition): _END for each in positions}
            asked = self._admin.list_offsets(ends_of, request_timeout=_LAG_TIMEOUT)
            ends = {(each.topic, each.partition): end.result().offset for each, end in asked.items()}
            self.lag = {
                Partition(each.topic, each.partition): max(0, ends[each.topic, each.partition] - each.offset)
                for each in positions
            }

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._loop.call_soon_threadsafe(self._on_assigned)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(self._give_up(partitions), wait=True)
        self._forget(partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions)
        self._forget(partitions)

    def _forget(self, partitions: list[TopicPartition]) -> None:
        """Commit their offsets no more: another member does it now."""
        lost = {Partition(partition.topic, partition.partition) for partition in partitions}
        for partition in lost:
            self._committing.pop(partition, None)
        self.lag = {partition: behind for partition, behind in self.lag.items() if partition not in lost}

    def _give_up(self, partitions: list[TopicPartition]) -> Mapping[Partition, int]:
        revoked = {Partition(partition.topic, partition.partition) for partition in partitions}
        self._paused -= revoked

        async def finish() -> Mapping[Partition, int]:
            return await self._on_revoked(revoked)

        return asyncio.run_coroutine_threadsafe(finish(), self._loop).result()


def _is_error(message: Message) -> bool:
    error = message.error()
    if error is not None:
        log.warning("kafka_error", topic=message.topic(), error=error.name(), fatal=error.fatal())
    return error is not None


def _incoming(message: Message) -> IncomingMessage:
    topic, number, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert number is not None
    assert offset is not None
    headers = tuple((name, _as_bytes(value)) for name, value in _header_pairs(message.headers()))
    return IncomingMessage(Partition(topic, number), offset, message.key(), message.value(), headers)


def _header_pairs(headers: Any) -> Iterable[tuple[str, str | bytes | None]]:
    return headers.items() if isinstance(headers, dict) else headers or ()


def _as_bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
