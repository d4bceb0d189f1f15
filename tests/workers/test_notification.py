"""Messages reach the person whom they concern, once, at the address that the identity service knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from adapters.internal.contacts import ContactsClient
from adapters.kafka.client import Publisher
from adapters.kafka.cloud_events import CloudEvent
from adapters.mail import MailServer
from domain.bookings import BookingStatus
from domain.domain_events import (
    BookingExpired,
    DomainEvent,
    UserAskedForPasswordReset,
    UserAskedForVerification,
    UserPasswordChanged,
)
from domain.identity import Channel
from domain.problems import ProblemType, Refused
from tests.http_client import http_client
from tests.waiting import eventually
from tests.workers.outside import a_confirmed_booking, consuming, publish
from workers.consumers.notification.channels import CannotDeliver, EmailChannel, Notification, Patience
from workers.consumers.notification.notifier import Notifier
from workers.consumers.runner import Impossible, Subscription


class Identity:
    """The identity service's contact endpoint, with people in it."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}
        self.url = ""

    def add(self, user_id: UUID, name: str, email: str | None = None, *, is_proven: bool = True) -> str:
        email = email or f"{uuid4().hex}@example.test"
        self.people[str(user_id)] = {"email": email, "email_verified": is_proven, "name": name}
        return email

    async def token(self, request: web.Request) -> web.Response:
        token = self.tokens.get(request.match_info["token_id"])
        return web.json_response({"token": token}) if token else web.Response(status=404)

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers["Authorization"] != "Bearer our-token":
            return web.Response(status=401)
        person = self.people.get(request.match_info["id"])
        return web.json_response(person) if person else web.Response(status=404)


@pytest.fixture
async def identity() -> AsyncIterator[Identity]:
    identity, app = Identity(), web.Application()
    app.router.add_get("/internal/v1/users/{id}/contact", identity.answer)
    app.router.add_get("/internal/v1/users/{id}/mail-tokens/{token_id}", identity.token)
    server = web.AppRunner(app)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    identity.url = "http://{}:{}".format(*server.addresses[0])
    yield identity
    await server.cleanup()


@pytest.fixture
async def contacts(identity: Identity) -> AsyncIterator[ContactsClient]:
    client = ContactsClient(identity.url, "our-token")
    yield client
    await client.close()


@pytest.fixture
async def notifier(contacts: ContactsClient, stack_env: dict[str, str]) -> AsyncIterator[Notifier]:
    host, port = stack_env["SEATWRIGHT_SMTP_HOST"], int(stack_env["SEATWRIGHT_SMTP_PORT"])
    server = MailServer(host, port, "Seatwright <tickets@seatwright.example>")
    yield Notifier(contacts, [EmailChannel(server)])
    await server.close()


class MailBox:
    """Reads the mail catcher's mails for one address."""

    def __init__(self, url: str) -> None:
        self._http = http_client(url)

    async def mails(self, address: str) -> list[dict[str, Any]]:
        found = (await self._http.get("/api/v1/search", params={"query": f"to:{address}"})).raise_for_status().json()
        return [(await self._http.get(f"/api/v1/message/{each['ID']}")).json() for each in found["messages"]]

    async def close(self) -> None:
        await self._http.aclose()


@pytest.fixture
async def mailbox(stack_env: dict[str, str]) -> AsyncIterator[MailBox]:
    box = MailBox(stack_env["SEATWRIGHT_MAIL_UI_URL"])
    yield box
    await box.close()


def delivered(event: DomainEvent) -> CloudEvent:
    return CloudEvent(uuid4(), "/seatwright/reservation", datetime(2030, 1, 2, tzinfo=UTC), uuid4(), 1, event)


async def test_a_confirmed_booking_is_mailed_once(
    notifier: Notifier,
    identity: Identity,
    mailbox: MailBox,
    group: str,
    topic: str,
    bootstrap: str,
    publisher: Publisher,
) -> None:
    booking = a_confirmed_booking(event_name="Sad & Happy <Songs>")
    address = identity.add(booking.user_id, "Ayşe Öztürk")
    id = await publish(publisher, topic, booking)
    for _ in range(2):  # the second member finds nothing left to do
        async with consuming(Subscription(group, (topic,), notifier.handle), bootstrap, publisher):
            (mail,) = await eventually(lambda: mailbox.mails(address))
    assert mail["MessageID"] == f"{id}@seatwright.example"
    assert mail["Subject"] == "Your tickets for Sad & Happy <Songs>"
    assert mail["From"] == {"Name": "Seatwright", "Address": "tickets@seatwright.example"}
    assert mail["To"] == [{"Name": "", "Address": address}]
    text, html = str(mail["Text"]), str(mail["HTML"])
    for content in (text, html):
        assert "Ayşe Öztürk" in content
        assert "Saturday, 4 May 2030, 19:30" in content
        assert "A-1-12" in content
        assert "Standing" in content
        assert "EUR\N{NO-BREAK SPACE}120.50" in content
        assert str(booking.booking_id) in content
    assert "Sad & Happy <Songs>" in text
    assert "Sad &amp; Happy &lt;Songs&gt;" in html


async def test_a_name_adds_no_header_to_a_delivered_mail(
    notifier: Notifier, identity: Identity, mailbox: MailBox
) -> None:
    victim = f"{uuid4().hex}@example.test"
    booking = a_confirmed_booking(event_name=f"Songs\r\nBcc: {victim}")
    address = identity.add(booking.user_id, f"Eve\r\nBcc: {victim}\r\n\r\nboo, <{victim}>")
    await notifier.handle(delivered(booking))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert mail["Subject"] == f"Your tickets for Songs Bcc: {victim}"
    assert mail["Bcc"] in ([], None)
    assert [to["Address"] for to in mail["To"]] == [address]
    assert await mailbox.mails(victim) == []


@pytest.mark.parametrize("address", ["a@b.test\r\nBcc: c@d.test", "a b@c.test", "a@b.test, c@d.test", "nobody", ""])
async def test_an_invalid_address_goes_to_the_dead_letters(
    address: str, notifier: Notifier, identity: Identity
) -> None:
    booking = a_confirmed_booking()
    identity.add(booking.user_id, "Eve", address)
    identity.people[str(booking.user_id)]["email"] = address
    with pytest.raises(Impossible):
        await notifier.handle(delivered(booking))


@pytest.mark.parametrize(
    ("event", "is_sent"),
    [
        (a_confirmed_booking(), False),
        (UserPasswordChanged(user_id=uuid4()), False),
        (UserAskedForVerification(user_id=uuid4(), token_id=uuid4()), True),
        (UserAskedForPasswordReset(user_id=uuid4(), token_id=uuid4()), True),
    ],
    ids=lambda value: getattr(value, "type", None),
)
async def test_only_what_proves_an_address_goes_to_an_unproven_one(
    notifier: Notifier, identity: Identity, mailbox: MailBox, event: Any, is_sent: bool
) -> None:
    """Else anyone could make us write to any address, under a name that is an advertisement."""
    address = identity.add(event.user_id, "WIN 1000 EUR at shop.example", is_proven=False)
    identity.tokens = {str(event.token_id): "the-secret"} if is_sent else {}
    await notifier.handle(delivered(event))
    if not is_sent:
        assert await mailbox.mails(address) == []
        return
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert mail["To"] == [{"Name": "", "Address": address}]
    assert "shop.example" not in str(mail)


async def test_an_erased_person_gets_no_mail(notifier: Notifier) -> None:
    await notifier.handle(delivered(a_confirmed_booking()))


async def test_other_domain_events_lead_to_no_mail(notifier: Notifier, identity: Identity, mailbox: MailBox) -> None:
    user = uuid4()
    address = identity.add(user, "Ann")
    expired = BookingExpired(booking_id=uuid4(), event_id=uuid4(), user_id=user, status=BookingStatus.EXPIRED)
    await notifier.handle(delivered(expired))
    assert await mailbox.mails(address) == []


async def test_without_identity_or_a_mail_server_the_message_is_retried(identity: Identity) -> None:
    booking = a_confirmed_booking()
    identity.add(booking.user_id, "Ann")
    nowhere, closed = MailServer("127.0.0.1", 9, "tickets@seatwright.example"), "http://127.0.0.1:9"
    for contacts in (
        ContactsClient(closed, "our-token"),
        ContactsClient(identity.url, "wrong"),
        ContactsClient(identity.url, "our-token"),
    ):
        with pytest.raises(Refused) as refused:
            await Notifier(contacts, [EmailChannel(nowhere)]).handle(delivered(booking))
        assert refused.value.problem.type is ProblemType.UNAVAILABLE
        await contacts.close()


@pytest.mark.parametrize("kind", [UserAskedForVerification, UserAskedForPasswordReset])
async def test_a_token_is_mailed_to_its_owner_while_it_is_valid(
    notifier: Notifier,
    identity: Identity,
    mailbox: MailBox,
    kind: type[UserAskedForVerification | UserAskedForPasswordReset],
) -> None:
    asked = kind(user_id=uuid4(), token_id=uuid4())
    address = identity.add(asked.user_id, "Ann")
    await notifier.handle(delivered(asked))
    assert await mailbox.mails(address) == []
    identity.tokens[str(asked.token_id)] = "the-secret"
    await notifier.handle(delivered(asked))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert "\nthe-secret" in str(mail["Text"])
    assert "the-secret" in str(mail["HTML"])


@pytest.mark.parametrize("kind", [UserAskedForVerification, UserAskedForPasswordReset, UserPasswordChanged])
async def test_an_account_mail_carries_no_text_that_the_registering_person_chose(
    notifier: Notifier, identity: Identity, mailbox: MailBox, kind: type[DomainEvent]
) -> None:
    user_id, token_id = uuid4(), uuid4()
    identity.tokens[str(token_id)] = "the-secret"
    address = identity.add(user_id, "You have won: evil.example")
    about = {"user_id": user_id, "token_id": token_id}
    await notifier.handle(delivered(kind(**{name: about[name] for name in kind.model_fields if name in about})))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert "evil" not in str(mail)


async def test_a_person_without_email_as_a_channel_gets_account_mails_alone(
    notifier: Notifier, identity: Identity, mailbox: MailBox
) -> None:
    booking = a_confirmed_booking()
    address = identity.add(booking.user_id, "Ann")
    identity.people[str(booking.user_id)]["channels"] = ["push"]
    await notifier.handle(delivered(booking))
    await notifier.handle(delivered(UserPasswordChanged(user_id=booking.user_id)))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert mail["Subject"] == "Your password was changed"


class RecordingChannel:
    """A channel that keeps its notifications."""

    def __init__(self, kind: Channel) -> None:
        self.kind = kind
        self.sent: list[Notification] = []

    async def send(self, notification: Notification, patience: Patience) -> None:
        self.sent.append(notification)


class BrokenChannel:
    """A channel that refuses every notification for good."""

    kind = Channel.PUSH

    async def send(self, notification: Notification, patience: Patience) -> None:
        raise CannotDeliver("no such device")


@pytest.mark.parametrize(
    ("chosen", "reached"), [(["sms"], [1, 0]), (["push", "sms"], [1, 1]), (["email"], [0, 0]), ([], [0, 0])]
)
async def test_a_message_goes_through_each_channel_that_its_recipient_chose(
    identity: Identity, contacts: ContactsClient, chosen: list[str], reached: list[int]
) -> None:
    booking = a_confirmed_booking()
    identity.add(booking.user_id, "Ann")
    identity.people[str(booking.user_id)]["channels"] = chosen
    channels = [RecordingChannel(Channel.SMS), RecordingChannel(Channel.PUSH)]
    event = delivered(booking)
    await Notifier(contacts, channels).handle(event)
    assert [len(channel.sent) for channel in channels] == reached
    sent = [notification for channel in channels for notification in channel.sent]
    assert {(each.id, each.template) for each in sent} <= {(event.id, "booking_confirmed")}


async def test_a_channel_that_refuses_a_message_does_not_stop_the_other_channels(
    identity: Identity, contacts: ContactsClient
) -> None:
    booking = a_confirmed_booking()
    identity.add(booking.user_id, "Ann")
    identity.people[str(booking.user_id)]["channels"] = ["push", "sms"]
    working = RecordingChannel(Channel.SMS)
    with pytest.raises(Impossible, match=r"^no such device$"):
        await Notifier(contacts, [BrokenChannel(), working]).handle(delivered(booking))
    assert len(working.sent) == 1
