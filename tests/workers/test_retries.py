"""One recipient whom no mail reaches delays no other: the mail is retried elsewhere, and in the end put aside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # `__all__` lacks most of them
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from prometheus_client import REGISTRY

from adapters.internal.contacts import ContactsClient
from adapters.kafka.client import RETRY_WAITS, Publisher, dead_letters, retries
from adapters.kafka.subscriber import IncomingMessage, Partition
from adapters.mail import MailServer
from tests.scale import sample
from tests.waiting import eventually
from tests.workers.conftest import MakeTopic
from tests.workers.mail_server import LATE, SILENCE, MoodyServer, moody_server
from tests.workers.outside import a_confirmed_booking, consuming, publish, reading
from workers.consumers import runner
from workers.consumers.notification import notifier
from workers.consumers.notification.channels import EmailChannel, Patience
from workers.consumers.notification.notifier import Notifier
from workers.consumers.retries import MAX_RETRIES, MAX_UNCONFIRMED, RetryPolicy, origin_of, retries_of, wait_of
from workers.consumers.runner import Subscription


async def _ignore(_: object) -> None: ...


def a_message(headers: tuple[tuple[str, bytes], ...] = (("ce_id", b"1"),)) -> IncomingMessage:
    return IncomingMessage(Partition("reservation.events", 3), 41, b"key", b"body", headers)


def incoming(message: Any, offset: int = 7) -> IncomingMessage:
    return IncomingMessage(Partition(message.topic, 0), offset, message.key, message.value, message.headers)


def test_retries_wait_longer_and_longer_and_end() -> None:
    policy, message, waits = RetryPolicy(_ignore), a_message(), []
    for number in range(1, MAX_RETRIES + 1):
        again = policy.next("notification", message, now=1000.0)
        assert again
        message = incoming(again)
        assert retries_of(message) == number
        waits.append(again.topic.removeprefix("notification.retries-"))
        assert float(dict(message.headers)["retry_due"]) == 1000 + RETRY_WAITS[waits[-1]]
    assert waits == ["1m", "10m", *["1h"] * 24]
    assert policy.next("notification", message, now=1000.0) is None


def test_a_retry_keeps_the_message_and_says_where_it_came_from() -> None:
    policy = RetryPolicy(_ignore)
    first = policy.next("notification", a_message(), now=1000.0)
    assert first
    second = policy.next("notification", incoming(first), now=2000.0)
    assert second
    assert (second.key, second.value, dict(second.headers)["ce_id"]) == (b"key", b"body", b"1")
    origin = {"origin_topic": "reservation.events", "origin_partition": "3", "origin_offset": "41"}
    assert origin_of(incoming(second)) == origin_of(a_message()) == origin
    assert len({name for name, _ in second.headers}) == len(second.headers)


def test_a_message_of_the_stream_waits_for_nothing() -> None:
    assert (retries_of(a_message()), wait_of(a_message())) == (0, 0)
    assert wait_of(a_message((("retry_due", b"1.5"),))) < 0


class People:
    """The identity service's contact endpoint: whom it fails for, and what address the others have."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.broken: set[str] = set()
        self.url = ""

    def add(self, mood: str) -> UUID:
        person = uuid4()
        self.addresses[str(person)] = f"{mood}-{person}@example.test"
        if mood == "broken":
            self.broken.add(str(person))
        return person

    async def answer(self, request: web.Request) -> web.Response:
        person = request.match_info["id"]
        if person in self.broken:
            return web.Response(status=500)
        return web.json_response({"email": self.addresses[person], "email_verified": True, "name": "Ann"})


@pytest.fixture
async def people() -> AsyncIterator[People]:
    people, app = People(), web.Application()
    app.router.add_get("/internal/v1/users/{id}/contact", people.answer)
    server = web.AppRunner(app)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    people.url = "http://{}:{}".format(*server.addresses[0])
    yield people
    await server.cleanup()


@pytest.fixture
async def moody() -> AsyncIterator[MoodyServer]:
    async with moody_server() as server:
        yield server


@pytest.fixture
async def subscription(
    people: People, moody: MoodyServer, new_topic: MakeTopic, group: str, topic: str
) -> AsyncIterator[Subscription]:
    """Notifications with three retries, of which the first comes after half a second."""
    contacts = ContactsClient(people.url, "our-token")
    mail = MailServer("127.0.0.1", moody.port, "Seatwright <tickets@seatwright.example>")
    mailing = Notifier(contacts, [EmailChannel(mail)])
    waits = (("1m", 0.5), ("10m", 1.0))
    for name, _ in waits:
        new_topic(retries(group, name))
    yield Subscription(group, (topic,), mailing.handle, RetryPolicy(mailing.handle_retry, waits, limit=3))
    await mail.close()
    await contacts.close()


OUT_OF_REACH = ["later", "full", "hangup", "broken"]


@pytest.mark.parametrize("mood", ["silent", *sample(OUT_OF_REACH, 1, of="recipients out of reach")])
async def test_a_recipient_who_cannot_be_reached_delays_no_other(
    mood: str,
    subscription: Subscription,
    people: People,
    moody: MoodyServer,
    bootstrap: str,
    publisher: Publisher,
) -> None:
    key = uuid4()  # one partition: the mails stand in one line
    bad, good = people.add(mood), [people.add("good") for _ in range(20)]
    async with consuming(subscription, bootstrap, publisher):
        begun = monotonic()
        for person in [good[0], bad, *good[1:]]:
            await publish(publisher, subscription.topics[0], a_confirmed_booking(user_id=person), key=key)
        await eventually(lambda: _all_received(moody, people, good), within=15)
        assert monotonic() - begun < SILENCE / 2
    assert [moody.received.count(people.addresses[str(person)]) for person in good] == [1] * 20


@pytest.mark.parametrize(
    ("mood", "copies"),
    [
        ("slow", 2),
        pytest.param("deaf", 1 + MAX_UNCONFIRMED, marks=pytest.mark.thorough),  # so ends the test of a mail in doubt
    ],
)
async def test_a_server_that_accepts_a_mail_late_or_silently_gets_few_copies(
    mood: str,
    copies: int,
    subscription: Subscription,
    people: People,
    moody: MoodyServer,
    bootstrap: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifier, "_IN_THE_STREAM", Patience(0.5))
    monkeypatch.setattr(notifier, "_BESIDE_THE_STREAM", Patience(0.5, accepting=2 * LATE))
    person, other = people.add(mood), people.add("good")
    async with (
        reading(bootstrap, dead_letters(subscription.group)) as letters,
        consuming(subscription, bootstrap, publisher),
    ):
        await publish(publisher, subscription.topics[0], a_confirmed_booking(user_id=person))
        await publish(publisher, subscription.topics[0], a_confirmed_booking(user_id=other))
        await eventually(lambda: _all_received(moody, people, [other]), within=15)
        if mood == "deaf":
            [letter] = await eventually(lambda: asyncio.to_thread(letters.poll), within=30)
            assert "did not say in time" in letter.headers["dead_letter_error"]
        else:
            await eventually(lambda: moody.received.count(people.addresses[str(person)]) >= copies, within=30)
            await asyncio.sleep(4 * LATE)  # no further copy comes
    assert moody.received.count(people.addresses[str(person)]) == copies


async def test_a_mail_in_doubt_is_not_sent_again_while_its_retry_topic_cannot_be_written(
    subscription: Subscription,
    people: People,
    moody: MoodyServer,
    bootstrap: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for patience in ("_IN_THE_STREAM", "_BESIDE_THE_STREAM"):
        monkeypatch.setattr(notifier, patience, Patience(0.5, accepting=0.5))
    monkeypatch.setattr(runner, "LONGEST_BACKOFF", 0.2)
    person = people.add("deaf")
    await _limit_messages(bootstrap, retries(subscription.group, "1m"), "1")
    refused = partial(REGISTRY.get_sample_value, "seatwright_consumer_failed_total")
    labels = {"consumer": subscription.group, "error": "NotDelivered"}
    async with (
        reading(bootstrap, dead_letters(subscription.group)) as letters,
        consuming(subscription, bootstrap, publisher),
    ):
        await publish(publisher, subscription.topics[0], a_confirmed_booking(user_id=person))
        await eventually(lambda: (refused(labels) or 0) >= 5)
        assert moody.received == [people.addresses[str(person)]]
        await _limit_messages(bootstrap, retries(subscription.group, "1m"), "1000000")
        await eventually(lambda: asyncio.to_thread(letters.poll), within=30)
    assert moody.received == [people.addresses[str(person)]] * (1 + MAX_UNCONFIRMED)


async def _limit_messages(bootstrap: str, topic: str, size: str) -> None:
    """Let the broker refuse messages of the topic that have more bytes."""
    entry = ConfigEntry("max.message.bytes", size, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for altered in admin.incremental_alter_configs([resource]).values():
        await asyncio.to_thread(altered.result, 60)


@pytest.mark.parametrize("mood", sample(["silent", "stuck"], 1, of="servers that keep a member waiting"))
async def test_a_member_that_leaves_ends_its_wait_and_the_mail_arrives_once(
    mood: str,
    subscription: Subscription,
    people: People,
    moody: MoodyServer,
    bootstrap: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifier, "_BESIDE_THE_STREAM", Patience(SILENCE, accepting=SILENCE))
    person = people.add(mood)
    await _leave_during_a_retry(person, subscription, people, moody, bootstrap, publisher)
    assert moody.received == []
    moody.is_healed = True
    async with consuming(subscription, bootstrap, publisher):
        await eventually(lambda: _all_received(moody, people, [person]), within=15)
        await asyncio.sleep(3)  # longer than the wait before another retry
    assert moody.received == [people.addresses[str(person)]]


async def test_a_member_that_leaves_a_mail_in_doubt_counts_its_copy(
    subscription: Subscription,
    people: People,
    moody: MoodyServer,
    bootstrap: str,
    publisher: Publisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifier, "_IN_THE_STREAM", Patience(0.5))
    monkeypatch.setattr(notifier, "_BESIDE_THE_STREAM", Patience(SILENCE, accepting=SILENCE))
    person = people.add("deaf")
    await _leave_during_a_retry(person, subscription, people, moody, bootstrap, publisher)
    monkeypatch.setattr(notifier, "_BESIDE_THE_STREAM", Patience(0.5, accepting=0.5))
    async with (
        reading(bootstrap, dead_letters(subscription.group)) as letters,
        consuming(subscription, bootstrap, publisher),
    ):
        await eventually(lambda: asyncio.to_thread(letters.poll), within=30)
    assert moody.received == [people.addresses[str(person)]] * (1 + MAX_UNCONFIRMED)


async def _leave_during_a_retry(
    person: UUID,
    subscription: Subscription,
    people: People,
    moody: MoodyServer,
    bootstrap: str,
    publisher: Publisher,
) -> None:
    """Let a member stop while the mail server does not answer about a retry; it must leave soon."""
    async with consuming(subscription, bootstrap, publisher):
        await publish(publisher, subscription.topics[0], a_confirmed_booking(user_id=person))
        await eventually(lambda: moody.tries[people.addresses[str(person)]] == 2, within=20)
        await asyncio.sleep(0.5)  # the server has what it does not answer
        begun = monotonic()
    assert monotonic() - begun < SILENCE / 2


def test_retries_of_what_may_have_arrived_are_few() -> None:
    policy, message = RetryPolicy(_ignore), a_message()
    for _ in range(MAX_UNCONFIRMED):
        later = policy.next("notification", message, now=1000.0, may_have_arrived=True)
        assert later
        message = incoming(later)
    assert policy.next("notification", message, now=1000.0, may_have_arrived=True) is None
    assert policy.next("notification", message, now=1000.0)


async def _all_received(moody: MoodyServer, people: People, wanted: list[UUID]) -> bool:
    return {people.addresses[str(person)] for person in wanted} <= set(moody.received)


async def test_a_mail_that_is_refused_for_a_while_arrives_once(
    subscription: Subscription, people: People, moody: MoodyServer, bootstrap: str, publisher: Publisher
) -> None:
    person = people.add("twice")
    async with consuming(subscription, bootstrap, publisher):
        await publish(publisher, subscription.topics[0], a_confirmed_booking(user_id=person))
        await eventually(lambda: _all_received(moody, people, [person]), within=20)
    assert moody.received == [people.addresses[str(person)]]
    assert moody.tries[people.addresses[str(person)]] == 3


@pytest.mark.parametrize("mood", sample(["later", "broken"], 1, of="mails put aside"))
async def test_a_mail_that_never_arrives_is_put_aside_with_its_place_in_the_stream(
    mood: str, subscription: Subscription, people: People, moody: MoodyServer, bootstrap: str, publisher: Publisher
) -> None:
    person, key = people.add(mood), uuid4()
    async with (
        reading(bootstrap, dead_letters(subscription.group)) as letters,
        consuming(subscription, bootstrap, publisher),
    ):
        id = await publish(publisher, subscription.topics[0], a_confirmed_booking(user_id=person), key=key)
        [letter] = await eventually(lambda: asyncio.to_thread(letters.poll), within=30)
    assert (letter.key, letter.headers["ce_id"]) == (str(key), str(id))
    assert letter.headers["dead_letter_topic"] == subscription.topics[0]
    assert letter.headers["dead_letter_error"].startswith("TryLater: ")
    assert letter.headers["retry_number"] == "3"
    if mood == "later":
        assert moody.tries[people.addresses[str(person)]] == 4
    assert moody.received == []
