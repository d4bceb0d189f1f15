"""Kafka: messages in, by partition, with the offsets that their consumer commits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # `__all__` lacks it

from adapters.kafka.client import LOG_CRITICAL, ErrorLog, Headers

_POLL = 0.5  # seconds, while partitions are paused: they go on, and offsets are committed, at the next poll
_IDLE_POLL = 1.0  # a message ends it at once; a stop does not
_BATCH = 100
_GATHER = 0.2  # seconds after a message, so that those that follow it closely share a round and a commit
_LAG_EVERY = 5.0  # seconds
_LAG_TIMEOUT = 1.0  # seconds for the broker's answer
_END = OffsetSpec.latest()  # type: ignore[no-untyped-call]

log = structlog.get_logger()


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
                "error_cb": ErrorLog(group),
                "log_level": LOG_CRITICAL,
            }
        )
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "client.id": group, "log_level": LOG_CRITICAL})
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
        first = self._consumer.poll(_POLL if paused else _IDLE_POLL)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(_BATCH - 1, _GATHER)]
        incoming = [_incoming(message) for message in messages if not _is_error(message)]
        assigned = self._assignment()  # a rebalance may have come between the two calls
        return [message for message in incoming if message.partition in assigned]

    def _assignment(self) -> set[Partition]:
        return set(map(_partition, self._consumer.assignment()))

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
        refused = {_partition(each) for each in positions if error or each.error}
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
            # One request on a connection of its own: on the consumer's, each partition waits for the fetch before it.
            ends = {TopicPartition(each.topic, each.partition): _END for each in positions}
            asked = self._admin.list_offsets(ends, request_timeout=_LAG_TIMEOUT) if ends else {}
            lag = {where: self.lag[where] for where in map(_partition, positions) if where in self.lag}
            for each in positions:
                with suppress(KafkaException):  # its broker is down: the lag is the last known one
                    end = asked[TopicPartition(each.topic, each.partition)].result().offset
                    lag[_partition(each)] = max(0, end - each.offset)
            self.lag = lag

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
        lost = set(map(_partition, partitions))
        for partition in lost:
            self._committing.pop(partition, None)
        self.lag = {partition: behind for partition, behind in self.lag.items() if partition not in lost}

    def _give_up(self, partitions: list[TopicPartition]) -> Mapping[Partition, int]:
        revoked = set(map(_partition, partitions))
        self._paused -= revoked

        async def finish() -> Mapping[Partition, int]:
            return await self._on_revoked(revoked)

        return asyncio.run_coroutine_threadsafe(finish(), self._loop).result()


def _partition(position: TopicPartition) -> Partition:
    return Partition(position.topic, position.partition)


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
