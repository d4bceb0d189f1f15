"""The progress of the consumers: messages not handled yet, and dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, TopicPartition

from adapters.kafka.client import CONSUMER_GROUPS, PARTITIONS, dead_letters

LISTENS_TO = {
    "search": ("catalogue.events",),
    "analytics": ("catalogue.events", "reservation.events"),
    "notification": ("reservation.events",),
}
_SECONDS = 60.0


def lag(bootstrap: str) -> int:
    """The number of uncommitted messages of all consumer groups."""
    behind = 0
    for group, topics in LISTENS_TO.items():
        with _reader(bootstrap, group) as reader:
            for position in reader.committed(_partitions(*topics), timeout=_SECONDS):
                low, high = reader.get_watermark_offsets(position, timeout=_SECONDS)
                behind += high - max(position.offset, low)  # a group that has committed nothing yet has a negative one
    return behind


def put_aside(bootstrap: str) -> int:
    """The dead letters."""
    with _reader(bootstrap, "chaos") as reader:
        partitions = _partitions(*map(dead_letters, CONSUMER_GROUPS))
        return sum(reader.get_watermark_offsets(each, timeout=_SECONDS)[1] for each in partitions)


def _partitions(*topics: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]


@contextmanager
def _reader(bootstrap: str, group: str) -> Iterator[Consumer]:
    """A client that reads a group's offsets without joining the group."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0})
    try:
        yield reader
    finally:
        reader.close()
