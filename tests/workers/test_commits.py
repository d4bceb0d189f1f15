"""Offsets reach the broker even if a rebalance refuses a commit; a quiet partition gets no message to repeat it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from time import monotonic

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from structlog.testing import capture_logs

from adapters.kafka import subscriber
from adapters.kafka.client import PARTITIONS
from adapters.kafka.subscriber import Partition, Subscriber
from tests.waiting import eventually
from tests.workers.conftest import MakeTopic


async def nothing_to_finish(partitions: AbstractSet[Partition]) -> Mapping[Partition, int]:
    return {}


def member(bootstrap: str, group: str, topic: str) -> Subscriber:
    return Subscriber(bootstrap, group, [topic], on_assigned=lambda: None, on_revoked=nothing_to_finish)


async def test_a_commit_that_a_rebalance_refused_is_repeated(
    bootstrap: str, group: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        subscriber, "_POLL", 0.005
    )  # so that some commits happen in the short time in which they are refused
    stays, offset = member(bootstrap, group, topic), 0

    async def assigned() -> set[Partition]:
        await stays.poll({}, set())
        return stays._assignment()

    await eventually(assigned)
    with capture_logs() as logs:
        for _ in range(20):
            if logs:
                break
            comes_and_goes = member(bootstrap, group, topic)
            while not logs and not comes_and_goes._assignment():
                offset += 1
                await asyncio.gather(
                    stays.poll(dict.fromkeys(stays._assignment(), offset), set()), comes_and_goes.poll({}, set())
                )
            leaving = asyncio.create_task(comes_and_goes.close())
            while not leaving.done():
                await stays.poll({}, set())
    assert {entry["event"] for entry in logs} == {"offsets_not_committed"}

    async def made_good() -> bool:
        await stays.poll({}, set())
        return offset in await asyncio.to_thread(committed, bootstrap, group, topic)

    await eventually(made_good, within=30)
    await stays.close()


async def test_a_member_that_has_lost_its_partitions_ends_their_work_and_commits_none() -> None:
    """The broker has given them to another member without waiting for this one, which is behind."""
    lost, kept, ended = Partition("t", 0), Partition("t", 1), list[AbstractSet[Partition]]()

    async def end_work(partitions: AbstractSet[Partition]) -> Mapping[Partition, int]:
        ended.append(partitions)
        return dict.fromkeys(partitions, 8)

    behind = Subscriber("127.0.0.1:1", "g", ["t"], on_assigned=lambda: None, on_revoked=end_work)
    behind.lag = {lost: 3, kept: 4}
    behind._committing, behind._not_committed = {lost: 5, kept: 6}, {lost, kept}
    with capture_logs() as logs:
        await asyncio.to_thread(behind._lost, behind._consumer, [TopicPartition("t", 0)])
    assert ended == [{lost}]
    assert (behind.lag, behind._to_commit_again(), logs) == ({kept: 4}, {kept: 6}, [])
    await behind.close()


def committed(bootstrap: str, group: str, topic: str) -> set[int]:
    """The offsets that the broker has."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    try:
        return {each.offset for each in reader.committed([TopicPartition(topic, n) for n in range(6)], timeout=60)}
    finally:
        reader.close()


async def test_measuring_the_lag_of_many_quiet_partitions_does_not_delay_polls(
    bootstrap: str, group: str, new_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = [new_topic(f"{group}.{number}") for number in range(3)]
    producer = Producer({"bootstrap.servers": bootstrap})
    for topic in topics:
        for partition in range(PARTITIONS):
            producer.produce(topic, b"", partition=partition)
    assert producer.flush(30) == 0
    monkeypatch.setattr(subscriber, "_LAG_EVERY", 0.0)
    reader = Subscriber(bootstrap, group, topics, on_assigned=lambda: None, on_revoked=nothing_to_finish)

    async def knows_every_lag() -> bool:
        await reader.poll({}, set())
        return len(reader.lag) == len(topics) * PARTITIONS and not any(reader.lag.values())

    async def three_polls() -> float:
        started = monotonic()
        for _ in range(3):
            await reader.poll({}, set())
        return monotonic() - started

    try:
        await eventually(knows_every_lag, within=60)
        with_measuring = await three_polls()
        monkeypatch.setattr(subscriber, "_LAG_EVERY", 3600.0)
        await reader.poll({}, set())
        without = await three_polls()
    finally:
        await reader.close()

    assert with_measuring < 3 * without  # a fetch for each partition takes 18 times as long
