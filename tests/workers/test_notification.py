"""Buyers get one mail about how their booking ended, at the address that identity knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.policy import default
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from aiohttp import web

from adapters.internal.contacts import Contacts
from adapters.kafka.client import Publisher
from adapters.kafka.cloud_events import CloudEvent
from adapters.mail import Mail, MailServer, Undeliverable, compose
from domain.bookings import BookingStatus, Ticket
from domain.domain_events import (
    BookingDifferenceReturned,
    BookingExpired,
    BookingFailed,
    BookingPartiallyRefunded,
    BookingRefunded,
    DomainEvent,
    LatePaymentSettled,
    LateSettlement,
    TicketExchanged,
    UserAskedForPasswordReset,
    UserAskedForVerification,
    UserPasswordChanged,
)
from domain.problems import ProblemType, Refused
from tests.waiting import eventually
from tests.workers.outside import a_confirmed_booking, consuming, publish
from workers.consumers.notification import Notifier
from workers.consumers.runner import Impossible, Subscription


class Identity:
    """The identity service's contact endpoint, with people in it."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}
        self.url = ""

    def add(self, user_id: UUID, name: str, email: str | None = None) -> str:
        email = email or f"{uuid4().hex}@example.test"
        self.people[str(user_id)] = {"email": email, "name": name}
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
async def notifier(identity: Identity, stack_env: dict[str, str]) -> AsyncIterator[Notifier]:
    contacts = Contacts(identity.url, "our-token")
    host, port = stack_env["SEATWRIGHT_SMTP_HOST"], int(stack_env["SEATWRIGHT_SMTP_PORT"])
    server = MailServer(host, port, "Seatwright <tickets@seatwright.example>")
    yield Notifier(contacts, server)
    await server.close()
    await contacts.close()


class MailBox:
    """What the mail catcher holds for one address."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.AsyncClient(base_url=url)

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
    for _ in range(2):  # the second member finds that nothing is left to do
        async with consuming(Subscription(group, (topic,), notifier.handle), bootstrap, publisher):
            (mail,) = await eventually(lambda: mailbox.mails(address))
    assert mail["MessageID"] == f"{id}@seatwright.example"
    assert mail["Subject"] == "Your tickets for Sad & Happy <Songs>"
    assert mail["From"] == {"Name": "Seatwright", "Address": "tickets@seatwright.example"}
    assert mail["To"] == [{"Name": "Ayşe Öztürk", "Address": address}]
    text, html = str(mail["Text"]), str(mail["HTML"])
    for content in (text, html):
        assert "Ayşe Öztürk" in content
        assert "Saturday, 04 May 2030, 19:30 UTC" in content
        assert "A-1-12" in content
        assert "Standing" in content
        assert "EUR 120.50" in content
        assert str(booking.booking_id) in content
    assert "Sad & Happy <Songs>" in text
    assert "Sad &amp; Happy &lt;Songs&gt;" in html


LATE = {
    LateSettlement.SAME_PLACES: "so they are yours",
    LateSettlement.OTHER_SEATS: "equal worth instead: A-1-2",
    LateSettlement.RETURNED: "EUR 50.00",
}


@pytest.mark.parametrize(("settlement", "words"), LATE.items(), ids=LATE)
async def test_who_paid_late_is_told_what_becomes_of_it(
    notifier: Notifier, identity: Identity, mailbox: MailBox, settlement: LateSettlement, words: str
) -> None:
    late = LatePaymentSettled(
        booking_id=uuid4(),
        provider="stripe",
        attempt=1,
        amount=5000,
        currency="EUR",
        user_id=uuid4(),
        settlement=settlement,
        seats=("A-1-2",),
    )
    address = identity.add(late.user_id, "Ann")
    await notifier.handle(delivered(late))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert words in " ".join(str(mail["Text"]).split())
    assert str(late.booking_id) in str(mail["HTML"])


async def test_a_failed_booking_is_explained(notifier: Notifier, identity: Identity, mailbox: MailBox) -> None:
    booking = BookingFailed(
        booking_id=uuid4(), event_id=uuid4(), user_id=uuid4(), status=BookingStatus.FAILED, reason="seats-unavailable"
    )
    address = identity.add(booking.user_id, "Ann")
    await notifier.handle(delivered(booking))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert "the seats went to somebody else" in str(mail["Text"])


async def test_a_name_cannot_bring_headers_of_its_own(notifier: Notifier, identity: Identity, mailbox: MailBox) -> None:
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
async def test_an_address_that_is_none_is_undeliverable(address: str, notifier: Notifier, identity: Identity) -> None:
    booking = a_confirmed_booking()
    identity.people[str(booking.user_id)] = {"name": "Eve", "email": address}
    with pytest.raises(Impossible):
        await notifier.handle(delivered(booking))


async def test_who_is_erased_gets_no_mail(notifier: Notifier) -> None:
    await notifier.handle(delivered(a_confirmed_booking()))


async def test_other_domain_events_are_no_news(notifier: Notifier, identity: Identity, mailbox: MailBox) -> None:
    user = uuid4()
    address = identity.add(user, "Ann")
    expired = BookingExpired(booking_id=uuid4(), event_id=uuid4(), user_id=user, status=BookingStatus.EXPIRED)
    await notifier.handle(delivered(expired))
    assert await mailbox.mails(address) == []


async def test_without_identity_or_mail_server_it_is_tried_again(identity: Identity) -> None:
    booking = a_confirmed_booking()
    identity.add(booking.user_id, "Ann")
    nowhere, closed = MailServer("127.0.0.1", 9, "tickets@seatwright.example"), "http://127.0.0.1:9"
    for contacts in (
        Contacts(closed, "our-token"),
        Contacts(identity.url, "wrong"),
        Contacts(identity.url, "our-token"),
    ):
        with pytest.raises(Refused) as refused:
            await Notifier(contacts, nowhere).handle(delivered(booking))
        assert refused.value.problem.type is ProblemType.UNAVAILABLE
        await contacts.close()


NAMES = [
    "Eve\r\nBcc: eve@x.test",
    f"Eve, <eve@x.test> {'e' * 80}",
    f'Eve" <eve@x.test>, "{"e" * 80}',
    f'Eve\\", <eve@x.test>, {"e" * 80}',
    f"Öz, <eve@x.test> {'e' * 80}",
    "Eve:;()[]",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_adds_a_recipient_or_a_header(name: str) -> None:
    mail = Mail(uuid4(), datetime(2030, 1, 1, tzinfo=UTC), name, "ann@y.test", f"About {name}", "text", "<p>html</p>")
    composed = compose(mail, Address("Seatwright", addr_spec="tickets@seatwright.example"))
    read = message_from_bytes(composed.as_bytes(), policy=default)
    assert [address.addr_spec for address in read["To"].addresses] == ["ann@y.test"]
    assert read.keys() == composed.keys()
    assert read["Bcc"] is None


def test_a_mail_without_a_valid_address_is_never_made() -> None:
    mail = Mail(uuid4(), datetime(2030, 1, 1, tzinfo=UTC), "Eve", "eve@", "Hi", "text", "<p>html</p>")
    with pytest.raises(Undeliverable):
        compose(mail, Address("Seatwright", addr_spec="tickets@seatwright.example"))


@pytest.mark.parametrize(
    ("kind", "cause", "cancelled", "others_stay"),
    [(BookingRefunded, "event_cancelled", True, False), (BookingPartiallyRefunded, "buyer", False, True)],
)
async def test_money_that_has_gone_back_is_told_with_its_amount(
    notifier: Notifier,
    identity: Identity,
    mailbox: MailBox,
    kind: type[BookingRefunded | BookingPartiallyRefunded],
    cause: str,
    cancelled: bool,
    others_stay: bool,
) -> None:
    status = BookingStatus(kind.model_fields["type"].default.removeprefix("booking."))
    refund = kind(
        booking_id=uuid4(), event_id=uuid4(), user_id=uuid4(), status=status, refund_id=uuid4(),
        event_name="Sad & Happy", amount=4350, refunded=4350, tickets=2, currency="EUR", cause=cause,
    )  # fmt: skip
    address = identity.add(refund.user_id, "Ann")
    await notifier.handle(delivered(refund))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert mail["Subject"] == "Your refund for Sad & Happy"
    for content in (str(mail["Text"]), str(mail["HTML"])):
        assert "EUR 43.50" in content
        assert ("was cancelled" in content) is cancelled
        assert ("stay valid" in content) is others_stay


@pytest.mark.parametrize("kind", [UserAskedForVerification, UserAskedForPasswordReset])
async def test_a_token_is_mailed_to_its_owner_unless_it_is_no_good_any_more(
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
async def test_who_registers_with_the_address_of_others_cannot_have_us_write_to_them_what_they_like(
    notifier: Notifier, identity: Identity, mailbox: MailBox, kind: type[DomainEvent]
) -> None:
    user_id, token_id = uuid4(), uuid4()
    identity.tokens[str(token_id)] = "the-secret"
    address = identity.add(user_id, "You have won: evil.example")
    about = {"user_id": user_id, "token_id": token_id}
    await notifier.handle(delivered(kind(**{name: about[name] for name in kind.model_fields if name in about})))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert "evil" not in str(mail)


async def test_who_wants_no_mails_gets_none_but_those_that_guard_the_account(
    notifier: Notifier, identity: Identity, mailbox: MailBox
) -> None:
    booking = a_confirmed_booking()
    address = identity.add(booking.user_id, "Ann")
    identity.people[str(booking.user_id)]["channels"] = ["push"]
    await notifier.handle(delivered(booking))
    await notifier.handle(delivered(UserPasswordChanged(user_id=booking.user_id)))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert mail["Subject"] == "Your password was changed"


@pytest.mark.parametrize(
    ("charged", "returns", "words"), [(1000, 0, "Paid for it: "), (0, 1000, "You get back: "), (0, 0, "")]
)
async def test_an_exchanged_seat_is_mailed_with_its_new_ticket_and_what_it_cost(
    notifier: Notifier, identity: Identity, mailbox: MailBox, charged: int, returns: int, words: str
) -> None:
    old, new = (Ticket(id=uuid4(), section="A", seat=seat) for seat in ("A-1-1", "A-1-2"))
    exchanged = TicketExchanged(
        booking_id=uuid4(), event_id=uuid4(), user_id=uuid4(), status=BookingStatus.CONFIRMED, exchange_id=uuid4(),
        event_name="Sad & Happy", starts_at=datetime(2030, 5, 4, 19, 30, tzinfo=UTC), old=old, new=new,
        amount=charged, returns=returns, currency="EUR",
    )  # fmt: skip
    address = identity.add(exchanged.user_id, "Ann")
    await notifier.handle(delivered(exchanged))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert mail["Subject"] == "Your new ticket for Sad & Happy"
    for content in (str(mail["Text"]), str(mail["HTML"])):
        assert str(new.id) in content
        assert str(old.id) not in content
        assert words in content
        assert ("EUR 10.00" in content) is bool(words)


async def test_the_difference_of_a_cheaper_seat_is_told_when_it_has_gone_back(
    notifier: Notifier, identity: Identity, mailbox: MailBox
) -> None:
    back = BookingDifferenceReturned(
        booking_id=uuid4(), event_id=uuid4(), user_id=uuid4(), status=BookingStatus.CONFIRMED, refund_id=uuid4(),
        event_name="Sad", amount=1000, refunded=1000, tickets=0, currency="EUR", cause="exchange",
    )  # fmt: skip
    address = identity.add(back.user_id, "Ann")
    await notifier.handle(delivered(back))
    (mail,) = await eventually(lambda: mailbox.mails(address))
    assert "EUR 10.00 for the cheaper seat to Sad" in " ".join(str(mail["Text"]).split())
