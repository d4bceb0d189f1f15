"""Each domain event leads to the right message, and each email says in plain words what happened and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import unescape
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest

from adapters.internal.contacts import Contact
from adapters.mail import Mail
from domain.bookings import BookingStatus, Ticket
from domain.domain_events import (
    BookingCancelled,
    BookingDifferenceReturned,
    BookingExpired,
    BookingFailed,
    BookingMoneyReturned,
    BookingPartiallyRefunded,
    BookingRefunded,
    DomainEvent,
    EventSummary,
    LatePaymentSettled,
    LateSettlement,
    TicketExchanged,
    TicketExchangeFailed,
    UserAskedForPasswordReset,
    UserAskedForVerification,
    UserErased,
    UserInvitedToTeam,
    UserPasswordChanged,
    UserRegisteredAgain,
)
from domain.identity import Channel
from tests.workers.outside import a_confirmed_booking
from workers.consumers.notification.channels import Notification, email
from workers.consumers.notification.messages import message_for
from workers.consumers.notification.rendering import TEMPLATES

STARTS_AT = datetime(2030, 5, 4, 19, 30, tzinfo=UTC)
TOKEN = "0af7651916cd43dd8448eb211c80319c"
BOOKING: Mapping[str, UUID] = {"booking_id": uuid4(), "event_id": uuid4(), "user_id": uuid4()}
OLD, NEW = (Ticket(id=uuid4(), section="A", seat=seat) for seat in ("A-1-1", "A-1-2"))


SUMMARY = EventSummary(
    name="Sad & Happy", starts_at=STARTS_AT, timezone="Europe/Istanbul", venue="Zorlu PSM", city="Istanbul"
)
WHEN_AND_WHERE = ("Saturday, 4 May 2030, 22:30 (Türkiye Standard Time, GMT+03:00)", "Zorlu PSM, Istanbul")


def a_failed_booking(reason: str) -> BookingFailed:
    return BookingFailed(**BOOKING, status=BookingStatus.FAILED, reason=reason, event=SUMMARY)


def a_cancelled_booking(cause: str) -> BookingCancelled:
    return BookingCancelled(**BOOKING, status=BookingStatus.CANCELLED, cause=cause, event=SUMMARY)


def a_failed_exchange(reason: str) -> TicketExchangeFailed:
    return TicketExchangeFailed(
        **BOOKING, status=BookingStatus.CONFIRMED, exchange_id=uuid4(), reason=reason, ticket=OLD, seat="A-1-2",
        event=SUMMARY,
    )  # fmt: skip


def a_late_payment(settlement: LateSettlement, exchange_id: UUID | None = None) -> LatePaymentSettled:
    return LatePaymentSettled(
        booking_id=uuid4(),
        provider="stripe",
        attempt=1,
        amount=5000,
        currency="EUR",
        user_id=uuid4(),
        settlement=settlement,
        seats=("A-1-2",),
        exchange_id=exchange_id,
    )


def an_exchange(amount: int, returns: int, fee: int = 0) -> TicketExchanged:
    return TicketExchanged(
        **BOOKING, status=BookingStatus.CONFIRMED, exchange_id=uuid4(), event_name="Sad & Happy", starts_at=STARTS_AT,
        event=SUMMARY, old=OLD, new=NEW, amount=amount, returns=returns, fee=fee, currency="EUR",
    )  # fmt: skip


def a_refund(kind: type[BookingMoneyReturned], status: BookingStatus, **of: Any) -> BookingMoneyReturned:
    about = {"event_name": "Sad & Happy", "event": SUMMARY, "currency": "EUR"}
    values: dict[str, Any] = about | {"amount": 4350, "refunded": 4350, "tickets": 2, "cause": "buyer"} | of
    return kind(**BOOKING, status=status, refund_id=uuid4(), **values)


class Case(NamedTuple):
    """A domain event, the subject of its email, what the email says, and what it must not say."""

    event: DomainEvent
    subject: str
    says: tuple[str, ...]
    leaves_out: tuple[str, ...] = ()


CASES = {
    "confirmed": Case(
        a_confirmed_booking(event_name="Sad & Happy", event=SUMMARY),
        "Your tickets for Sad & Happy",
        ("Please bring these tickets", *WHEN_AND_WHERE, "A-1-12", "Standing", "EUR 120.50"),
        ("UTC",),
    ),
    "confirmed without payment": Case(
        a_confirmed_booking(amount=0, tickets=(NEW,)),
        "Your tickets for Sad Songs",
        ("Please bring this ticket", "Price: free"),
        ("EUR", "paid"),
    ),
    "failed: seats": Case(
        a_failed_booking("seats-unavailable"),
        "Your booking was not completed",
        ("because the seats were sold to another buyer", "make a new booking", *WHEN_AND_WHERE),
    ),
    "failed: event": Case(
        a_failed_booking("event-not-on-sale"), "Your booking was not completed", ("the event is no longer on sale",)
    ),
    "failed: declined": Case(
        a_failed_booking("payment-declined"), "Your booking was not completed", ("your payment was declined",)
    ),
    "failed: too late": Case(
        a_failed_booking("payment-too-late"), "Your booking was not completed", ("your payment arrived too late",)
    ),
    "failed: internal error": Case(
        a_failed_booking("internal"), "Your booking was not completed", ("because of an error on our side",)
    ),
    "called off": Case(
        a_cancelled_booking("event_cancelled"),
        "Sad & Happy was cancelled",
        ("Sad & Happy was cancelled. We are sorry.", "You do not pay for it", "the money goes back", *WHEN_AND_WHERE),
        ("try again",),
    ),
    "exchange failed: declined": Case(
        a_failed_exchange("payment-declined"),
        "Your seat for Sad & Happy was not exchanged",
        ("A-1-1 was not exchanged for A-1-2 because your payment was declined", "Your ticket stays valid", str(OLD.id)),
    ),
    "exchange failed: too late": Case(
        a_failed_exchange("payment-too-late"),
        "Your seat for Sad & Happy was not exchanged",
        ("the difference was not paid in time", "exchange your ticket once more", *WHEN_AND_WHERE),
    ),
    "exchange failed: event": Case(
        a_failed_exchange("event-not-on-sale"),
        "Your seat for Sad & Happy was not exchanged",
        ("because the event is no longer on sale",),
        ("try again",),
    ),
    "exchange failed: other": Case(
        a_failed_exchange("exchange-failed"),
        "Your seat for Sad & Happy was not exchanged",
        ("because the exchange could not be completed", "You pay nothing for the exchange"),
    ),
    "late, same places": Case(
        a_late_payment(LateSettlement.SAME_PLACES),
        "Your payment arrived late, and your booking is confirmed",
        ("EUR 50.00", "so your booking is confirmed", "separate email"),
        ("A-1-2",),
    ),
    "late, other seats": Case(
        a_late_payment(LateSettlement.OTHER_SEATS),
        "Your payment arrived late, and you have new seats",
        ("EUR 50.00", "nearest free seats at the same price: A-1-2"),
    ),
    "late, returned": Case(
        a_late_payment(LateSettlement.RETURNED),
        "Your payment arrived too late, and you get it back",
        ("EUR 50.00", "full amount back"),
        ("A-1-2", "separate email"),
    ),
    "late, for an exchange": Case(
        a_late_payment(LateSettlement.RETURNED, uuid4()),
        "Your payment arrived too late, and you get it back",
        ("EUR 50.00", "the exchange of your ticket had already ended", "full amount back"),
        ("A-1-2", "separate email", "booking had already ended"),
    ),
    "exchanged for a dearer seat": Case(
        an_exchange(1000, 0),
        "Your new ticket for Sad & Happy",
        (str(NEW.id), "old ticket for A-1-1 is no longer valid", "You paid EUR 10.00 more", *WHEN_AND_WHERE),
        (str(OLD.id),),
    ),
    "exchanged for a cheaper seat": Case(
        an_exchange(0, 1000),
        "Your new ticket for Sad & Happy",
        (str(NEW.id), "You get EUR 10.00 back"),
        (str(OLD.id), "You paid", "policy"),
    ),
    "exchanged for a cheaper seat, for a fee": Case(
        an_exchange(0, 900, fee=100),
        "Your new ticket for Sad & Happy",
        ("You get EUR 9.00 back", "keeps EUR 1.00 of the difference"),
        ("You paid",),
    ),
    "exchanged for a cheaper seat, without refunds": Case(
        an_exchange(0, 0, fee=1000),
        "Your new ticket for Sad & Happy",
        ("The new seat costs less", "keeps the difference of EUR 10.00"),
        ("back", "EUR 0.00"),
    ),
    "exchanged at the same price": Case(
        an_exchange(0, 0), "Your new ticket for Sad & Happy", (str(NEW.id),), (str(OLD.id), "EUR", "back")
    ),
    "refunded, event cancelled": Case(
        a_refund(BookingRefunded, BookingStatus.REFUNDED, cause="event_cancelled"),
        "Your refund for Sad & Happy",
        ("Sad & Happy was cancelled", "EUR 43.50 for 2 tickets", "These tickets are no longer valid", *WHEN_AND_WHERE),
        ("stay valid",),
    ),
    "refunded in part": Case(
        a_refund(BookingPartiallyRefunded, BookingStatus.PARTIALLY_REFUNDED, tickets=1),
        "Your refund for Sad & Happy",
        ("EUR 43.50 for 1 ticket to", "This ticket is no longer valid", "The other tickets of this booking stay valid"),
        ("cancelled", "fee"),
    ),
    "refunded for a fee": Case(
        a_refund(BookingRefunded, BookingStatus.REFUNDED, fee=650),
        "Your refund for Sad & Happy",
        ("We refunded EUR 43.50", "keeps a fee of EUR 6.50"),
    ),
    "returned for a fee of the whole price": Case(
        a_refund(BookingRefunded, BookingStatus.REFUNDED, amount=0, refunded=0, fee=5000),
        "Your returned tickets for Sad & Happy",
        ("keeps the whole price, so no money goes back",),
        ("EUR 0.00", "There is no money", "refunded"),
    ),
    "free tickets, event cancelled": Case(
        a_refund(BookingRefunded, BookingStatus.REFUNDED, amount=0, refunded=0, cause="event_cancelled"),
        "Sad & Happy was cancelled",
        ("Your 2 tickets to Sad & Happy are no longer valid", "There is no money to refund"),
        ("EUR", "stay valid"),
    ),
    "free ticket returned": Case(
        a_refund(BookingPartiallyRefunded, BookingStatus.PARTIALLY_REFUNDED, amount=0, refunded=0, tickets=1),
        "Your returned ticket for Sad & Happy",
        ("Your ticket to Sad & Happy is no longer valid", "There is no money to refund", "stay valid"),
        ("EUR", "cancelled"),
    ),
    "returned after the provider gave the money back": Case(
        a_refund(
            BookingRefunded, BookingStatus.REFUNDED, amount=0, refunded=4050, fee=450, tickets=1, by_provider=4050
        ),
        "Your returned ticket for Sad & Happy",
        ("Your ticket to Sad & Happy is no longer valid", "already gone back to you: EUR 40.50", "a fee of EUR 4.50"),
        ("no money", "EUR 0.00", "We refunded"),
    ),
    "refunded after the provider gave a part back": Case(
        a_refund(BookingRefunded, BookingStatus.REFUNDED, amount=3350, by_provider=1000),
        "Your refund for Sad & Happy",
        ("We refunded EUR 33.50", "Before that, EUR 10.00 had already gone back to you"),
    ),
    "difference that the provider gave back": Case(
        a_refund(
            BookingDifferenceReturned, BookingStatus.CONFIRMED, amount=0, tickets=0, cause="exchange", by_provider=1000
        ),
        "Your refund for Sad & Happy",
        ("costs less than your old one", "already gone back to you: EUR 10.00", "Your tickets stay valid"),
        ("EUR 0.00", "We refunded", "Your bank"),
    ),
    "difference of which the provider gave a part back": Case(
        a_refund(
            BookingDifferenceReturned, BookingStatus.CONFIRMED, amount=600, tickets=0, cause="exchange", by_provider=400
        ),
        "Your refund for Sad & Happy",
        ("We refunded EUR 6.00", "Before that, EUR 4.00 had already gone back to you", "Your bank"),
    ),
    "difference refunded": Case(
        a_refund(BookingDifferenceReturned, BookingStatus.CONFIRMED, amount=1000, tickets=0, cause="exchange"),
        "Your refund for Sad & Happy",
        ("We refunded EUR 10.00, because your new seat at Sad & Happy costs less", "Your tickets stay valid"),
    ),
    "email verification": Case(
        UserAskedForVerification(user_id=uuid4(), token_id=uuid4()),
        "Confirm your email address",
        ("enter this code", TOKEN, "three days"),
    ),
    "password reset": Case(
        UserAskedForPasswordReset(user_id=uuid4(), token_id=uuid4()),
        "Reset your password",
        ("choose a new password", TOKEN, "one hour", "ignore this email"),
    ),
    "registered again": Case(
        UserRegisteredAgain(user_id=uuid4(), token_id=uuid4()),
        "You already have an account",
        ("already has an account", TOKEN, "one hour", "ignore this email"),
    ),
    "invited to a team": Case(
        UserInvitedToTeam(user_id=uuid4(), team_id=uuid4()),
        "You are invited to a team",
        ("log in and open your teams", "only after you accept"),
    ),
    "password changed": Case(
        UserPasswordChanged(user_id=uuid4()),
        "Your password was changed",
        ("log in with the new password", "If you did not change it"),
    ),
}


def mail_for(event: DomainEvent, name: str = "Ann", language: str = "en") -> Mail:
    message = message_for(event)
    assert message
    values = {**message.values, "name": name} | ({"token": TOKEN} if message.token_id else {})
    contact = Contact(email="ann@example.test", email_verified=True, name=name, language=language)
    return email(Notification(uuid4(), STARTS_AT, contact, message.template, values))


def words(html: str) -> str:
    """What a reader sees of an HTML mail, on one line."""
    without_marks = re.sub(r"</?strong[^>]*>", "", html)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", without_marks)).split())


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_email_says_what_happened_and_what_to_do(case: Case) -> None:
    mail = mail_for(case.event)
    assert mail.subject == case.subject
    for content in (" ".join(mail.text.split()), words(mail.html)):
        assert [each for each in case.says if each not in content] == []
        # Whole words: an id may have the letters of one.
        assert [each for each in case.leaves_out if re.search(rf"\b{re.escape(each)}\b", content)] == []


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_email_greets_and_goes_on_with_a_capital_letter(case: Case) -> None:
    greeting, empty, first, *_ = mail_for(case.event).text.splitlines()
    assert (greeting, empty) == ("Hello Ann,", "")
    assert first[0].isupper()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_email_has_no_empty_paragraphs_and_no_gaps(case: Case) -> None:
    mail = mail_for(case.event)
    assert "\n\n\n" not in mail.text
    assert mail.text.endswith("\n\nSeatwright\n")
    assert "<p></p>" not in mail.html


@pytest.mark.parametrize("case", [case for case in CASES.values() if hasattr(case.event, "booking_id")])
def test_an_email_about_a_booking_names_it(case: Case) -> None:
    mail = mail_for(case.event)
    assert str(getattr(case.event, "booking_id", None)) in mail.text
    assert str(getattr(case.event, "booking_id", None)) in mail.html


def test_html_is_escaped_and_text_is_not() -> None:
    mail = mail_for(a_confirmed_booking(event_name="Sad & Happy <Songs>"), name="<b>Ann</b>")
    assert "Sad & Happy <Songs>" in mail.text
    assert "Hello <b>Ann</b>," in mail.text
    assert "Sad &amp; Happy &lt;Songs&gt;" in mail.html
    assert "Hello &lt;b&gt;Ann&lt;/b&gt;," in mail.html


def test_without_a_name_the_greeting_has_no_gap() -> None:
    mail = mail_for(UserPasswordChanged(user_id=uuid4()), name="")
    assert mail.text.startswith("Hello,\n")
    assert "<p>Hello,</p>" in mail.html


def test_every_message_has_its_case() -> None:
    messages = [message_for(case.event) for case in CASES.values()]
    templates = {path.name.removesuffix(".subject.j2") for path in TEMPLATES.glob("email/*.subject.j2")}
    assert {message.template for message in messages if message} == templates


@pytest.mark.parametrize(
    "event",
    [
        BookingExpired(**BOOKING, status=BookingStatus.EXPIRED),
        a_cancelled_booking("buyer"),
        UserErased(user_id=uuid4()),
    ],
)
def test_other_domain_events_lead_to_no_message(event: DomainEvent) -> None:
    assert message_for(event) is None


@pytest.mark.parametrize("chosen", [(), (Channel.SMS,), (Channel.EMAIL, Channel.PUSH)])
def test_booking_messages_use_the_chosen_channels_and_account_messages_email(chosen: tuple[Channel, ...]) -> None:
    about_booking = message_for(a_confirmed_booking())
    about_account = message_for(UserPasswordChanged(user_id=uuid4()))
    assert about_booking
    assert about_account
    assert about_booking.channels(chosen) == chosen
    assert about_account.channels(chosen) == (Channel.EMAIL,)


def test_a_domain_event_from_before_there_were_zones_says_utc() -> None:
    mail = mail_for(a_confirmed_booking())
    assert "Saturday, 4 May 2030, 19:30 (Coordinated Universal Time, GMT+00:00)" in mail.text
    refund = a_refund(BookingRefunded, BookingStatus.REFUNDED, event=None)
    assert mail_for(refund).subject == "Your refund for Sad & Happy"
