"""Reads Kafka topics from a timestamp to their current end, without joining a group or moving an offset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

_BATCH = 5000
_TIMEOUT = 10.0  # seconds for one answer of the broker


class Envelope(NamedTuple):
    """The position and the headers of a message, without its body.

    Attributes:
        at: The publisher's timestamp (UTC).
    """

    topic: str
    partition: int
    offset: int
    id: str
    type: str
    subject: str
    at: datetime


class Reading(NamedTuple):
    """The messages that one read has found.

    Attributes:
        complete_since: The broker may have deleted messages that are older than this (UTC).
    """

    messages: list[Envelope]
    complete_since: datetime


class KafkaLog:
    """The messages of a broker, and the committed offsets of its consumer groups."""

    def __init__(self, bootstrap: str, prefix: str = "") -> None:
        """Do not connect yet.

        Args:
            bootstrap: Addresses of brokers, `host:port` with a comma between.
            prefix: The prefix of topic and group names, on a broker that is shared with other systems.
        """
        self._bootstrap = bootstrap
        self._prefix = prefix

    async def read(self, topics: Iterable[str], since: datetime, wanted: Callable[[str], bool]) -> Reading:
        """Read the messages since a timestamp whose type is wanted, up to the current end of each topic.

        Raises:
            KafkaException: The broker does not answer, or has no such topic.
        """
        return await asyncio.to_thread(self._read, [f"{self._prefix}{topic}" for topic in topics], since, wanted)

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """The first offset that the group has not committed, by partition; 0 if it has committed none."""
        return await asyncio.to_thread(self._committed, f"{self._prefix}{group}", f"{self._prefix}{topic}")

    def _read(self, topics: list[str], since: datetime, wanted: Callable[[str], bool]) -> Reading:
        consumer = self._consumer("audit")
        try:
            partitions = self._partitions(topics)
            kept = {where: consumer.get_watermark_offsets(TopicPartition(*where), _TIMEOUT) for where in partitions}
            at = int(since.timestamp() * 1000)
            found = consumer.offsets_for_times([TopicPartition(*where, at) for where in partitions], timeout=_TIMEOUT)
            starts = {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
            ends = {where: high for where, (_, high) in kept.items()}
            cut = {where for where, start in starts.items() if 0 < kept[where][0] == start}
            unread = {where: start for where, start in starts.items() if start < ends[where]}
            reading = _consume(consumer, unread, ends, cut, wanted)
            if any(0 < low == high for low, high in kept.values()):
                reading = reading._replace(complete_since=datetime.now(UTC))  # a whole partition was deleted
        finally:
            consumer.close()
        named = [each._replace(topic=each.topic.removeprefix(self._prefix)) for each in reading.messages]
        return reading._replace(messages=named) if self._prefix else reading

    def _committed(self, group: str, topic: str) -> dict[int, int]:
        consumer = self._consumer(group)
        try:
            partitions = [TopicPartition(*where) for where in self._partitions([topic])]
            found = consumer.committed(partitions, timeout=_TIMEOUT)
            return {each.partition: max(0, each.offset) for each in found}
        finally:
            consumer.close()

    def _partitions(self, topics: Iterable[str]) -> list[_Where]:
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        found: list[_Where] = []
        for topic in topics:
            metadata = admin.list_topics(topic, timeout=_TIMEOUT).topics[topic]
            if metadata.error is not None:
                raise KafkaException(metadata.error)
            found += [(topic, number) for number in metadata.partitions]
        return found

    def _consumer(self, group: str) -> Consumer:
        """A client with the mandatory group id; it never subscribes, so it does not join the group."""
        return Consumer({"bootstrap.servers": self._bootstrap, "group.id": group, "enable.auto.commit": False})


_Where = tuple[str, int]


def _consume(
    consumer: Consumer,
    unread: Mapping[_Where, int],
    ends: Mapping[_Where, int],
    cut: set[_Where],
    wanted: Callable[[str], bool],
) -> Reading:
    remaining, messages, complete_since = set(unread), [], datetime.min.replace(tzinfo=UTC)
    consumer.assign([TopicPartition(*where, start) for where, start in unread.items()])
    while remaining:
        for message in _some(consumer):
            where, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
            if where in cut:
                cut.discard(where)
                complete_since = max(complete_since, _published_at(message))
            if offset + 1 >= ends[where]:
                remaining.discard(where)
            headers = dict(message.headers() or ())
            kind = _text(headers, "ce_type")
            if wanted(kind):
                id, subject = _text(headers, "ce_id"), _text(headers, "ce_subject")
                messages.append(Envelope(*where, offset, id, kind, subject, _published_at(message)))
    return Reading(messages, complete_since)


def _some(consumer: Consumer) -> Iterator[Message]:
    """The fetched messages; waits for the first only, since `consume` waits for the full number it is given."""
    first = consumer.poll(_TIMEOUT)
    if first is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the topics have no end"))
    for message in [first, *consumer.consume(_BATCH, 0)]:
        if error := message.error():
            raise KafkaException(error)
        yield message


def _published_at(message: Message) -> datetime:
    return datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)


def _text(headers: Mapping[str, bytes | str | None], name: str) -> str:
    value = headers.get(name)
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
