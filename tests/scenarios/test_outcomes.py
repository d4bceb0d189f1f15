"""The effects of a booking outside its saga: mail, search, sales and domain events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import make_url

from adapters.kafka.client import PARTITIONS, dead_letters
from config.settings import Settings
from domain.domain_events import BookingEvent, CatalogueEvent, PaymentEvent
from tests.api.mails import VERIFICATION
from tests.buyer import CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.http_client import http_client
from tests.platform_client import PlatformClient
from tests.proofs import prove_address
from tests.scenarios.any_seat import any_seat
from tests.waiting import eventually
from tests.workers.outside import Read, reading

WITHIN = 60


class Registered(Buyer):
    """A person registered at the identity service."""

    email: str


async def register(platform: PlatformClient) -> Registered:
    email, password = f"{uuid4()}@example.test", "correct horse battery"
    made = await platform.http.post("/v1/users", json={"email": email, "password": password, "name": "Ada Lovelace"})
    assert made.status_code == 201, made.text
    session = await platform.http.post("/v1/sessions", json={"email": email, "password": password})
    assert session.status_code == 201, session.text
    prove_address(platform.settings, made.json()["id"])
    person = Registered(platform.http, UUID(made.json()["id"]), session.json()["access_token"])
    person.email = email
    return person


@pytest.fixture
async def buyer(platform: PlatformClient) -> Registered:
    return await register(platform)


@pytest.fixture
async def mailbox(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with http_client(settings.mail_ui_url) as client:
        yield client


IN_GERMAN = "Bestätigen Sie Ihre E-Mail-Adresse"


async def mails_to(mailbox: httpx2.AsyncClient, address: str) -> list[dict[str, Any]]:
    """The mails about bookings, without the mail of the registration, whose reader may have chosen German since."""
    found = (await mailbox.get("/api/v1/search", params={"query": f'to:"{address}"'})).json()["messages"]
    return [
        (await mailbox.get(f"/api/v1/message/{mail['ID']}")).json()
        for mail in found
        if mail["Subject"] not in (VERIFICATION, IN_GERMAN)
    ]


def connect(settings: Settings, service: Any) -> psycopg.Connection:
    return psycopg.connect(
        make_url(settings.database_url(service)).set(drivername="postgresql").render_as_string(hide_password=False)
    )


def sales(settings: Settings, event: str) -> list[tuple[Any, ...]]:
    with connect(settings, "analytics") as connection:
        return connection.execute(
            "SELECT bookings, tickets, revenue, currency FROM sales WHERE event_id = %s", [event]
        ).fetchall()


def is_published(settings: Settings, booking: str) -> bool:
    """Whether the outbox has no more messages of this booking."""
    waiting = "SELECT FROM outbox WHERE aggregate_id = %s"
    for service in ("reservation", "payment"):
        with connect(settings, service) as connection:
            if connection.execute(waiting, [booking]).fetchone() is not None:  # a row without columns is falsy
                return False
    return True


def ends(settings: Settings, topic: str) -> dict[int, int]:
    """The current end of each partition of a topic."""
    asking = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": "ends"})
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return {each.partition: asking.get_watermark_offsets(each, timeout=60)[1] for each in partitions}
    finally:
        asking.close()


def is_handled(settings: Settings, group: str, topic: str, until: dict[int, int]) -> bool:
    """Whether a consumer group has handled everything before these ends."""
    asking = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": group})
    try:
        committed = asking.committed([TopicPartition(topic, number) for number in until], timeout=60)
        return all(max(each.offset, 0) >= until[each.partition] for each in committed)
    finally:
        asking.close()


async def all_is_told(settings: Settings, booking: str, group: str) -> None:
    """Wait until everything of a booking is published, and this group has handled it."""
    await eventually(lambda: asyncio.to_thread(is_published, settings, booking), within=WITHIN)
    until = await asyncio.to_thread(ends, settings, BookingEvent.topic)
    await eventually(lambda: asyncio.to_thread(is_handled, settings, group, BookingEvent.topic, until), within=WITHIN)


def keys(settings: Settings, topic: str) -> set[str]:
    """The keys of all messages of a topic."""
    left = {number: end for number, end in ends(settings, topic).items() if end}
    reader = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": "keys", "enable.auto.commit": False})
    reader.assign([TopicPartition(topic, number, 0) for number in left])
    found: set[str] = set()
    try:
        while left:
            for message in reader.consume(1000, 1):
                assert message.error() is None, message.error()
                found.add((message.key() or b"").decode())
            left = {at.partition: left[at.partition] for at in _unread(reader, left)}
    finally:
        reader.close()
    return found


def _unread(reader: Consumer, left: dict[int, int]) -> list[TopicPartition]:
    return [at for at in reader.position(reader.assignment()) if at.offset < left.get(at.partition, 0)]


async def told(settings: Settings, topic: str, key: str, how_many: int) -> list[Read]:
    """Read an aggregate's messages with a new group up to this number of domain events; some may repeat."""
    async with reading(settings.kafka_bootstrap, topic) as reader:

        async def enough() -> list[Read]:
            mine = [message for message in await asyncio.to_thread(reader.poll) if message.key == key]
            return mine if len({message.headers["ce_id"] for message in mine}) >= how_many else []

        found: list[Read] = await eventually(enough, within=WITHIN)
    return found


async def test_a_buyer_gets_one_mail_with_seats_amount_and_booking(
    platform: PlatformClient, buyer: Registered, mailbox: httpx2.AsyncClient, settings: Settings
) -> None:
    booking = await buyer.bought(await platform.event(), "A-1-1", "B-2-3", quantities={"Standing": 1})

    await eventually(lambda: mails_to(mailbox, buyer.email), within=WITHIN)
    await all_is_told(settings, booking["id"], "notification")
    [mail] = await mails_to(mailbox, buyer.email)

    assert mail["To"] == [{"Name": "", "Address": buyer.email}]
    assert "Ada Lovelace" in mail["Text"]
    for body in (mail["Text"], mail["HTML"]):
        for word in (
            "A-1-1",
            "B-2-3",
            "Standing",
            "EUR\xa0120.00",
            booking["id"],
            *(t["id"] for t in booking["tickets"]),
        ):
            assert word in body


async def test_an_event_called_off_during_a_payment_is_mailed_once(
    platform: PlatformClient, buyer: Registered, mailbox: httpx2.AsyncClient, settings: Settings
) -> None:
    event = await platform.event()
    booking = await buyer.held(event, "A-1-1")
    assert (await buyer.pay(booking, CARD_WITH_3DS)).status_code == 202

    await platform.cancel(event)

    await buyer.ends_as(booking, "action_required", "held", "cancelled")
    await eventually(lambda: mails_to(mailbox, buyer.email), within=WITHIN)
    await all_is_told(settings, booking, "notification")
    [mail] = await mails_to(mailbox, buyer.email)
    assert mail["Subject"].endswith("was cancelled")
    assert "Hall, Utrecht" in mail["Text"]
    assert await platform.provider.kept(booking) == 0


async def test_an_exchange_that_fails_at_the_bank_is_mailed(
    platform: PlatformClient, buyer: Registered, mailbox: httpx2.AsyncClient, settings: Settings
) -> None:
    booking = await buyer.bought(await platform.event(), "B-1-1")
    [ticket] = booking["tickets"]
    exchange = (await buyer.exchange(booking["id"], ticket["id"], "A-1-1", method=CARD_WITH_3DS)).json()
    await platform.provider.act(exchange["next_action"]["url"], "fail")

    async def both() -> list[dict[str, Any]]:
        found = await mails_to(mailbox, buyer.email)
        return found if len(found) > 1 else []

    mails = await eventually(both, within=WITHIN)
    await all_is_told(settings, booking["id"], "notification")
    [failed] = [mail for mail in mails if mail["Subject"].endswith("was not exchanged")]
    assert "Your seat B-1-1 was not exchanged for A-1-1 because your payment was declined" in " ".join(
        failed["Text"].split()
    )
    assert len(await mails_to(mailbox, buyer.email)) == 2


async def test_a_mail_speaks_the_language_of_its_reader(
    platform: PlatformClient, buyer: Registered, mailbox: httpx2.AsyncClient
) -> None:
    changed = await platform.http.patch("/v1/me", json={"language": "de"}, headers=buyer.headers)
    assert changed.status_code == 200, changed.text
    await buyer.bought(*await any_seat(platform))
    [mail] = await eventually(lambda: mails_to(mailbox, buyer.email), within=WITHIN)
    assert mail["Subject"].startswith("Ihre Tickets für ")
    assert "Insgesamt bezahlt: 50,00\xa0EUR" in mail["Text"]
    assert "Mitteleuropäische" in mail["Text"]


async def test_an_unpaid_declined_or_cancelled_booking_sends_no_mail(
    platform: PlatformClient, buyer: Registered, mailbox: httpx2.AsyncClient, settings: Settings
) -> None:
    booking = await buyer.held(*await any_seat(platform))
    assert (await buyer.pay(booking, DECLINED_CARD)).status_code == 402
    assert (await buyer.cancel(booking)).status_code == 200
    await all_is_told(settings, booking, "notification")
    assert await mails_to(mailbox, buyer.email) == []


async def test_a_mail_to_an_unknown_person_is_skipped_and_delays_no_other(
    platform: PlatformClient, buyer: Registered, mailbox: httpx2.AsyncClient, settings: Settings
) -> None:
    event = await platform.event()
    forgotten = [(await platform.new_buyer().bought(event, f"A-1-{number}"))["id"] for number in range(1, 3)]
    booking = (await buyer.bought(event, "A-2-1"))["id"]

    for each in (*forgotten, booking):
        await all_is_told(settings, each, "notification")

    assert len(await mails_to(mailbox, buyer.email)) == 1
    letters = await asyncio.to_thread(keys, settings, dead_letters("notification"))
    assert not letters & {*forgotten, booking}


async def test_search_finds_a_published_event_and_a_cancelled_one_is_not_on_sale(
    platform: PlatformClient,
) -> None:
    event = await platform.event()
    name = (await platform.http.get(f"/v1/events/{event}")).json()["name"]

    async def hits() -> list[dict[str, Any]]:
        answer = await platform.http.get("/v1/search", params={"q": name})
        assert answer.status_code == 200
        return [hit for hit in answer.json()["hits"] if hit["event_id"] == event]

    [hit] = await eventually(hits, within=WITHIN)
    assert (hit["name"], hit["venue"]["city"]) == (name, "Utrecht")

    await platform.cancel(event)

    async def is_gone() -> bool:
        return not await hits()

    await eventually(is_gone, within=WITHIN)


async def test_a_sale_is_counted_once_and_stays_so(platform: PlatformClient, settings: Settings) -> None:
    event = await platform.event()
    first = await platform.new_buyer().bought(event, "A-1-1", quantities={"Standing": 2})
    await all_is_told(settings, first["id"], "analytics")
    assert sales(settings, event) == [(1, 3, 11000, "EUR")]

    lost = await platform.new_buyer().held(event, "A-1-2")
    await platform.new_buyer().hold(event, "A-1-2")
    second = await platform.new_buyer().bought(event, "B-1-1")
    await all_is_told(settings, lost, "analytics")
    await all_is_told(settings, second["id"], "analytics")
    assert sales(settings, event) == [(2, 4, 15000, "EUR")]


async def test_kafka_has_all_domain_events_of_a_booking_in_order(
    platform: PlatformClient, buyer: Registered, settings: Settings
) -> None:
    booking = await buyer.held(*await any_seat(platform))
    assert (await buyer.pay(booking, DECLINED_CARD)).status_code == 402
    assert (await buyer.pay(booking)).status_code == 200

    lived = ["booking.held", "booking.paying", "booking.held", "booking.paying", "booking.confirmed"]
    paid = ["payment.declined", "payment.authorized", "payment.captured"]
    for topic, source, types in (
        (BookingEvent.topic, "/seatwright/reservation", lived),
        (PaymentEvent.topic, "/seatwright/payment", paid),
    ):
        messages = await told(settings, topic, booking, len(types))
        assert [message.headers["ce_type"] for message in messages] == types
        assert [message.headers["ce_sequence"] for message in messages] == [str(n + 1) for n in range(len(types))]
        assert len({message.headers["ce_id"] for message in messages}) == len(types)
        for message in messages:
            assert message.headers["ce_specversion"] == "1.0"
            assert message.headers["ce_source"] == source
            assert message.headers["ce_subject"] == booking
            assert message.headers["content-type"] == "application/json"
            assert buyer.email.encode() not in message.value
            assert b"Ada Lovelace" not in message.value


async def test_kafka_has_the_publication_and_the_cancellation_of_an_event(
    platform: PlatformClient, settings: Settings
) -> None:
    event = await platform.event()
    await platform.cancel(event)
    messages = await told(settings, CatalogueEvent.topic, event, 2)
    assert [message.headers["ce_type"] for message in messages] == ["event.published", "event.cancelled"]
