"""Offsets reach the broker even if a rebalance refuses a commit; a quiet partition gets no message to repeat it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import pytest
from confluent_kafka import Consumer, TopicPartition
from structlog.testing import capture_logs

from adapters.kafka import client
from adapters.kafka.client import Partition, Subscriber
from tests.waiting import eventually


async def nothing_to_finish(partitions: AbstractSet[Partition]) -> Mapping[Partition, int]:
    return {}


def member(bootstrap: str, group: str, topic: str) -> Subscriber:
    return Subscriber(bootstrap, group, [topic], on_assigned=lambda: None, on_revoked=nothing_to_finish)


async def test_a_commit_that_a_rebalance_refused_is_repeated(
    bootstrap: str, group: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        client, "_POLL", 0.005
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


def committed(bootstrap: str, group: str, topic: str) -> set[int]:
    """The offsets that the broker has."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    try:
        return {each.offset for each in reader.committed([TopicPartition(topic, n) for n in range(6)], timeout=60)}
    finally:
        reader.close()
