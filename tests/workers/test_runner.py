"""A consumer retries what can succeed, dead-letters the rest, keeps each key's order and commits after effects."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from time import monotonic
from uuid import UUID, uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from adapters.kafka.client import NotDelivered, OutgoingMessage, Publisher, dead_letters
from adapters.kafka.cloud_events import CloudEvent
from config.settings import Settings
from domain.problems import ProblemType, Refused
from stack import Stack
from tests.waiting import eventually, in_time
from tests.workers.outside import a_confirmed_booking, break_for_good, consuming, headers, publish, reading
from workers import consumers
from workers.consumers import runner
from workers.consumers.runner import Impossible, Subscription


class Effects:
    """A handler that records its events, and fails as a test asks."""

    def __init__(self) -> None:
        self.done: list[CloudEvent] = []
        self.failures: dict[UUID, list[Exception]] = defaultdict(list)
        self.attempts = 0

    async def handle(self, event: CloudEvent) -> None:
        self.attempts += 1
        if self.failures[event.id]:
            raise self.failures[event.id].pop()
        self.done.append(event)

    def ids(self) -> list[UUID]:
        return [event.id for event in self.done]


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def subscription(group: str, topic: str, effects: Effects) -> Subscription:
    return Subscription(group, (topic,), effects.handle)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LONGEST_BACKOFF", 0.2)


def unavailable() -> Refused:
    return Refused(ProblemType.UNAVAILABLE, "try later")


POISON = {
    "no CloudEvent": ((), b"{}", "no header ce_type"),
    "a body that is no JSON": (
        headers("booking.confirmed", uuid4(), uuid4()),
        b"{",
        "body does not fit: : json_invalid",
    ),
    "a body that lacks fields": (headers("booking.cancelled", uuid4(), uuid4()), b"{}", "booking_id: missing"),
    "an id that is none": ((("ce_type", b"booking.cancelled"), ("ce_id", b"7")), b"{}", "a header is malformed"),
}


async def test_a_poison_message_is_dead_lettered_and_the_next_one_is_handled(
    subscription: Subscription, effects: Effects, topic: str, bootstrap: str, publisher: Publisher
) -> None:
    key = uuid4()
    for its_headers, body, _ in POISON.values():
        await publisher.publish(OutgoingMessage(topic, str(key).encode(), body, its_headers))
    after = await publish(publisher, topic, a_confirmed_booking(), key=key)
    async with (
        consuming(subscription, bootstrap, publisher),
        reading(bootstrap, dead_letters(subscription.group)) as reader,
    ):
        await eventually(lambda: effects.ids() == [after])
        await eventually(lambda: len(reader.poll()) == len(POISON))
    letters = {letter.headers["dead_letter_offset"]: letter for letter in reader.messages}
    for offset, (poison, (its_headers, body, why)) in enumerate(POISON.items()):
        letter = letters[str(offset)]
        assert (letter.key, letter.value) == (str(key), body), poison
        assert letter.headers["dead_letter_topic"] == topic
        assert letter.headers["dead_letter_partition"].isdecimal()
        assert why in letter.headers["dead_letter_error"]
        assert letter.headers.items() >= {name: value.decode() for name, value in its_headers}.items()


async def test_a_message_that_can_never_be_handled_is_dead_lettered(
    subscription: Subscription, effects: Effects, topic: str, bootstrap: str, publisher: Publisher
) -> None:
    key = uuid4()
    refused, buggy, good = [await publish(publisher, topic, a_confirmed_booking(), key=key) for _ in range(3)]
    effects.failures |= {refused: [Impossible("no such recipient")], buggy: [KeyError("secret")] * 5}
    async with (
        consuming(subscription, bootstrap, publisher),
        reading(bootstrap, dead_letters(subscription.group)) as reader,
    ):
        await eventually(lambda: effects.ids() == [good])
        await eventually(lambda: len(reader.poll()) == 2)
    assert {letter.headers["ce_id"]: letter.headers["dead_letter_error"] for letter in reader.messages} == {
        str(refused): "Impossible: no such recipient",
        str(buggy): "KeyError",
    }


async def test_dead_letters_and_later_messages_go_on_after_the_producer_has_failed_for_good(
    subscription: Subscription, effects: Effects, topic: str, bootstrap: str, publisher: Publisher
) -> None:
    key = uuid4()

    async def fail_and_go_on(broken: Publisher) -> None:
        break_for_good(broken)
        impossible, good = uuid4(), uuid4()
        effects.failures[impossible] = [Impossible("no such recipient")]
        for id in (impossible, good):
            await publish(publisher, topic, a_confirmed_booking(), id=id, key=key)
        await eventually(lambda: good in effects.ids())

    async with (
        Publisher(bootstrap, "broken") as broken,
        consuming(subscription, bootstrap, broken),
        reading(bootstrap, dead_letters(subscription.group)) as reader,
    ):
        await fail_and_go_on(broken)
        await fail_and_go_on(broken)
        await eventually(lambda: len(reader.poll()) == 2)


async def test_messages_on_their_way_are_settled_when_the_producer_fails_for_good(topic: str, bootstrap: str) -> None:
    async with Publisher(bootstrap, "broken") as broken:
        await publish(broken, topic, a_confirmed_booking())
        tries = asyncio.gather(
            *(publish(broken, topic, a_confirmed_booking()) for _ in range(3)), return_exceptions=True
        )
        await asyncio.sleep(0)  # now the client has them
        break_for_good(broken)
        refused = await asyncio.gather(publish(broken, topic, a_confirmed_booking()), return_exceptions=True)
        for outcome in (*await in_time(tries), *refused):
            assert isinstance(outcome, UUID) or (isinstance(outcome, NotDelivered) and not outcome.permanent), outcome
        assert isinstance(refused[0], NotDelivered)
        await in_time(publish(broken, topic, a_confirmed_booking()))


async def test_an_event_type_of_a_newer_producer_is_skipped(
    subscription: Subscription, effects: Effects, topic: str, bootstrap: str, publisher: Publisher
) -> None:
    key = uuid4()
    unknown = headers("booking.upgraded", uuid4(), key)
    await publisher.publish(OutgoingMessage(topic, str(key).encode(), b"{}", unknown))
    known = await publish(publisher, topic, a_confirmed_booking(), key=key)
    async with (
        consuming(subscription, bootstrap, publisher),
        reading(bootstrap, dead_letters(subscription.group)) as reader,
    ):
        await eventually(lambda: effects.ids() == [known])
        assert reader.poll() == []


async def test_a_temporary_failure_is_retried_in_order_and_delays_its_partition_only(
    subscription: Subscription, effects: Effects, topic: str, bootstrap: str, publisher: Publisher
) -> None:
    key = uuid4()
    first = await publish(publisher, topic, a_confirmed_booking(), key=key)
    second = await publish(publisher, topic, a_confirmed_booking(), key=key)
    effects.failures[first] = [unavailable()] * 1000
    async with consuming(subscription, bootstrap, publisher):
        await eventually(lambda: effects.attempts > 3)
        others = [await publish(publisher, topic, a_confirmed_booking()) for _ in range(30)]
        await eventually(lambda: len(effects.done) > 10)
        assert not {first, second} & set(effects.ids())
        effects.failures.clear()
        await eventually(lambda: len(effects.done) == 32)
    mine = [event.id for event in effects.done if event.id in (first, second)]
    assert mine == [first, second]
    assert set(effects.ids()) == {first, second, *others}


async def test_a_member_that_rejoins_continues_after_the_last_effect(
    subscription: Subscription, effects: Effects, topic: str, bootstrap: str, publisher: Publisher
) -> None:
    before = [await publish(publisher, topic, a_confirmed_booking()) for _ in range(20)]
    async with consuming(subscription, bootstrap, publisher):
        await eventually(lambda: len(effects.done) == 20)
    after = [await publish(publisher, topic, a_confirmed_booking()) for _ in range(20)]
    async with consuming(subscription, bootstrap, publisher):
        await eventually(lambda: len(effects.done) == 40)
    assert sorted(effects.ids()) == sorted(before + after)


async def test_a_message_without_effect_is_delivered_again(
    subscription: Subscription, effects: Effects, topic: str, bootstrap: str, publisher: Publisher
) -> None:
    key = uuid4()
    done = await publish(publisher, topic, a_confirmed_booking(), key=key)
    undone = await publish(publisher, topic, a_confirmed_booking(), key=key)
    effects.failures[undone] = [unavailable()] * 1000
    async with consuming(subscription, bootstrap, publisher):
        await eventually(lambda: effects.attempts > 2)
    effects.failures.clear()
    async with consuming(subscription, bootstrap, publisher):
        await eventually(lambda: len(effects.done) == 2)
    assert effects.ids() == [done, undone]


async def test_a_handler_that_hangs_ends_with_its_member_and_is_called_again(
    group: str, topic: str, effects: Effects, bootstrap: str, publisher: Publisher
) -> None:
    begun = asyncio.Event()

    async def hang(_: CloudEvent) -> None:
        begun.set()
        await asyncio.sleep(runner.HANDLER_TIMEOUT)

    key = uuid4()
    ids = [await publish(publisher, topic, a_confirmed_booking(), key=key) for _ in range(2)]
    async with consuming(Subscription(group, (topic,), hang), bootstrap, publisher):
        await eventually(begun.is_set)
        left = monotonic()
    assert monotonic() - left < runner.HANDLER_TIMEOUT / 2
    async with consuming(Subscription(group, (topic,), effects.handle), bootstrap, publisher):
        await eventually(lambda: effects.ids() == ids)


async def test_a_partition_whose_handler_hangs_goes_to_a_member_that_joins(
    group: str, topic: str, effects: Effects, bootstrap: str, publisher: Publisher
) -> None:
    hanging: set[UUID] = set()

    async def hang(event: CloudEvent) -> None:
        hanging.add(event.id)
        await asyncio.sleep(runner.HANDLER_TIMEOUT)

    ids = {await publish(publisher, topic, a_confirmed_booking()) for _ in range(30)}
    first, second = Subscription(group, (topic,), hang), Subscription(group, (topic,), effects.handle)
    async with consuming(first, bootstrap, publisher):
        await eventually(lambda: len(hanging) > 3)
        joined = monotonic()
        async with consuming(second, bootstrap, publisher):
            await eventually(lambda: hanging & set(effects.ids()))
            assert monotonic() - joined < runner.HANDLER_TIMEOUT / 2
    assert set(effects.ids()) < ids


async def test_a_keys_order_survives_members_that_join_and_leave(
    group: str, topic: str, effects: Effects, bootstrap: str, publisher: Publisher
) -> None:
    keys = [uuid4() for _ in range(12)]
    by_second: list[UUID] = []

    async def handle_as_second(event: CloudEvent) -> None:
        await effects.handle(event)
        by_second.append(event.id)

    async def publish_all(sequences: range) -> None:
        for sequence in sequences:
            await asyncio.gather(
                *(publish(publisher, topic, a_confirmed_booking(), key=key, sequence=sequence) for key in keys)
            )

    first = Subscription(group, (topic,), effects.handle)
    second = Subscription(group, (topic,), handle_as_second)
    async with consuming(first, bootstrap, publisher):
        await publish_all(range(1, 20))
        async with consuming(second, bootstrap, publisher):
            last = 19
            while not by_second:
                last += 1
                await publish_all(range(last, last + 1))
        await publish_all(range(last + 1, last + 20))
        await eventually(lambda: len(set(effects.ids())) == (last + 19) * len(keys))
    order: dict[UUID, list[int]] = defaultdict(list)
    for event in effects.done:
        if event.sequence not in order[event.subject]:
            order[event.subject].append(event.sequence)
    assert order == {key: list(range(1, last + 20)) for key in keys}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(runner, "tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


async def test_a_span_continues_the_trace_of_the_request(
    subscription: Subscription,
    effects: Effects,
    topic: str,
    bootstrap: str,
    publisher: Publisher,
    spans: InMemorySpanExporter,
) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    parent = (("traceparent", f"00-{trace_id}-b7ad6b7169203331-01".encode()),)
    booking = a_confirmed_booking()
    message = OutgoingMessage(
        topic, b"k", booking.model_dump_json().encode(), headers(booking.type, uuid4(), uuid4()) + parent
    )
    await publisher.publish(message)
    async with consuming(subscription, bootstrap, publisher):
        await eventually(lambda: effects.done)
    (span,) = spans.get_finished_spans()
    assert span.kind is trace.SpanKind.CONSUMER
    assert span.context is not None
    assert trace.format_trace_id(span.context.trace_id) == trace_id


async def test_an_unknown_consumer_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="no such consumer: payment"):
        await consumers.run(settings, ["payment"], asyncio.Event(), asyncio.Event())


@pytest.mark.thorough
@pytest.mark.disruptive
async def test_a_consumer_continues_when_kafka_is_back(
    subscription: Subscription, effects: Effects, topic: str, bootstrap: str, publisher: Publisher, stack: Stack
) -> None:
    before = await publish(publisher, topic, a_confirmed_booking())
    async with consuming(subscription, bootstrap, publisher):
        await eventually(lambda: effects.ids() == [before])
        await asyncio.to_thread(stack.restart, "kafka")
        after = await publish(publisher, topic, a_confirmed_booking())
        await eventually(lambda: after in effects.ids(), within=60)
