"""A buyer's name and address occur only in the places that need them, out of everything that the platform writes.

The needle goes in wherever a buyer can put it, and the payment fails in every way that could make something complain
about it. That the search works is shown by looking for the booking's id in the same places.
"""

from __future__ import annotations

import asyncio
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from confluent_kafka import Consumer, TopicPartition
from temporalio.client import Client

from config.settings import Settings
from stack import Stack
from tests.http_client import http_client
from tests.platform_client import PlatformClient
from tests.scenarios.personal_booking import book_with_personal_data
from tests.waiting import eventually

NEED_IT = {"mail", "postgres", "sandbox"}
"""Places that need the data: the mail server, the identity database, and the provider for the payment method."""


class Canary(NamedTuple):
    """The personal data to search, and ids that prove that each place is searched."""

    mark: bytes
    booking: str
    refund: str
    opened: str

    def seen_in(self, text: bytes) -> bool:
        return self.mark in text


@pytest.fixture(scope="module")
def canary(settings: Settings, published: dict[UUID, str]) -> Canary:
    """One for all places; its event is audited with the module's."""

    async def released() -> Canary:
        async with PlatformClient(settings) as platform:
            canary = await _release(platform)
            published.update((UUID(event), __name__) for event in platform.events)
            return canary

    return asyncio.run(released())


async def _release(platform: PlatformClient) -> Canary:
    """A booking, and another one that is opened at iyzico with the buyer's details."""
    first = await book_with_personal_data(platform, platform.http)
    buyer, about = first.buyer, {"name": first.name, "email": first.email, "address": f"{first.mark} street"}
    await buyer.ends_as(first.id, "refunding", "refunded")
    opened = await buyer.held(first.event, "A-1-2")
    answer = await buyer.pay(opened, None, provider="iyzico", buyer=about)
    assert answer.status_code == 202, answer.text
    [intent] = await platform.provider.intents(opened)
    assert (intent["buyer"]["name"], intent["buyer"]["email"]) == (first.name, first.email)
    return Canary(first.mark.encode(), first.id, first.refund, opened)


async def test_temporal_keeps_no_personal_data(canary: Canary, stack: Stack, settings: Settings) -> None:
    client = await Client.connect(settings.temporal_address)  # without our keys: as it is stored
    for workflow in (f"booking-{canary.booking}", f"refund-{canary.refund}", f"booking-{canary.opened}"):
        handle = client.get_workflow_handle(workflow)
        history, description = await handle.fetch_history(), await handle.describe()
        ids = (canary.booking.encode(), canary.opened.encode())
        assert any(id in event.SerializeToString() for event in history.events for id in ids)
        assert not [event.event_id for event in history.events if canary.seen_in(event.SerializeToString())]
        assert not canary.seen_in(description.raw_description.SerializeToString())
    await _assert_not_in(stack.paths.data("temporal"), canary, control=canary.booking)


async def test_no_log_has_personal_data(canary: Canary, stack: Stack) -> None:
    await _assert_not_in(stack.paths.folder / "logs", canary)


async def test_no_metric_has_personal_data(canary: Canary, stack: Stack) -> None:
    async with http_client() as http:
        for process in ("api", "work", "relay", "consume"):
            port = stack.ports[f"{process}-metrics"]
            text = (await http.get(f"http://127.0.0.1:{port}/metrics/")).raise_for_status().content
            assert b"python_info" in text
            assert not canary.seen_in(text), process


async def test_no_kafka_topic_has_personal_data(canary: Canary, stack: Stack, settings: Settings) -> None:
    async def told() -> bool:
        messages = await asyncio.to_thread(lambda: list(_all_messages(settings.kafka_bootstrap)))
        assert not [topic for topic, message in messages if canary.seen_in(message)]
        return any(canary.refund.encode() in message for _, message in messages)

    assert await eventually(told, within=60, every=1)  # each look reads all that the suite has published
    await _assert_not_in(stack.paths.data("kafka"), canary, control=canary.booking)


async def test_no_other_server_keeps_personal_data(canary: Canary, stack: Stack) -> None:
    elsewhere = {"temporal", "kafka"}  # which tests of their own search
    servers = {path.name for path in (stack.paths.folder / "data").iterdir()} - NEED_IT - elsewhere
    for server in servers:
        await _assert_not_in(stack.paths.data(server), canary)


async def _assert_not_in(folder: Path, canary: Canary, control: str = "") -> None:
    assert not await asyncio.to_thread(_files_with, canary.mark, folder)
    if control:
        assert await asyncio.to_thread(_files_with, control.encode(), folder)


def _files_with(needle: bytes, folder: Path) -> list[str]:
    return [str(path) for path in _below(folder) if path.is_file() and _has(path, needle)]


def _below(folder: Path) -> Iterator[Path]:
    """Walk a folder; unlike `rglob` this tolerates folders that other tests delete."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _has(path: Path, needle: bytes) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(needle) >= 0
    except (ValueError, FileNotFoundError):  # empty, or deleted by another test
        return False


def _all_messages(bootstrap: str) -> Iterable[tuple[str, bytes]]:
    """Every message of every topic of the platform, with headers."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "canary", "enable.auto.commit": False})
    try:
        topics = consumer.list_topics(timeout=60).topics
        ends = {
            (name, number): consumer.get_watermark_offsets(TopicPartition(name, number), 10)
            for name, topic in topics.items()
            if not name.startswith(("__", "test.", "audit-"))  # other tests delete theirs
            for number in topic.partitions
        }
        left = {where for where, (low, high) in ends.items() if low < high}
        consumer.assign([TopicPartition(*where, ends[where][0]) for where in left])
        while left:
            message = consumer.poll(10)
            assert message is not None
            where = message.topic() or "", message.partition() or 0
            yield where[0], f"{message.headers()} {message.key()!r} {message.value()!r}".encode()
            if (message.offset() or 0) + 1 >= ends[where][1]:
                left.discard(where)
    finally:
        consumer.close()
