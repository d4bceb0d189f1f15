"""Tells people by mail how their booking ended, when a seat was exchanged, when money has gone back, and what concerns
their account.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from adapters.internal.contacts import Contact, Contacts
from adapters.kafka.cloud_events import CloudEvent
from adapters.mail import Mail, MailServer, Undeliverable
from config.settings import Settings, secret
from domain.domain_events import (
    BookingConfirmed,
    BookingEvent,
    BookingFailed,
    BookingMoneyReturned,
    LatePaymentSettled,
    LateSettlement,
    PaymentEvent,
    TicketExchanged,
    UserAskedForPasswordReset,
    UserAskedForToken,
    UserAskedForVerification,
    UserEvent,
    UserPasswordChanged,
)
from domain.identity import Channel
from domain.money import format_money
from workers.consumers.runner import Impossible, Subscription

GROUP = "notification"
_TOPICS = (BookingEvent.topic, PaymentEvent.topic, UserEvent.topic)
_REASONS = {
    "seats-unavailable": "the seats went to somebody else",
    "event-not-on-sale": "the event is no longer on sale",
    "payment-declined": "the payment was declined",
    "payment-too-late": "the payment came too late",
}

_LATE = {
    LateSettlement.SAME_PLACES: "Your payment came late, and your places are yours",
    LateSettlement.OTHER_SEATS: "Your payment came late, and you have other seats",
    LateSettlement.RETURNED: "Your payment came late, and you get it back",
}

_TOKENS: Mapping[type[UserAskedForToken], tuple[str, str]] = {
    UserAskedForVerification: ("Is this your address?", "verification"),
    UserAskedForPasswordReset: ("Another password for your account", "password_reset"),
}

log = structlog.get_logger()


@asynccontextmanager
async def subscription(settings: Settings) -> AsyncIterator[Subscription]:
    """The consumer with its mail server and the way to addresses."""
    contacts = Contacts(settings.identity_address, secret(settings.internal_token))
    mail = MailServer(settings.smtp_host, settings.smtp_port, settings.mail_sender)
    try:
        yield Subscription(GROUP, _TOPICS, Notifier(contacts, mail).handle)
    finally:
        await mail.close()
        await contacts.close()


class Notifier:
    """Writes to the person who booked, unless the person has been erased."""

    def __init__(self, contacts: Contacts, mail: MailServer) -> None:
        self._contacts = contacts
        self._mail = mail

    async def handle(self, event: CloudEvent) -> None:
        match event.data:
            case BookingConfirmed() as booking:
                subject = f"Your tickets for {booking.event_name}"
                await self._write(event, booking, subject, "confirmed")
            case BookingFailed() as booking:
                await self._write(event, booking, "Your booking could not be completed", "failed")
            case LatePaymentSettled() as late:
                await self._write(event, late, _LATE[late.settlement], "late")
            case TicketExchanged() as booking:
                await self._write(event, booking, f"Your new ticket for {booking.event_name}", "exchanged")
            case BookingMoneyReturned() as booking:
                await self._write(event, booking, f"Your refund for {booking.event_name}", "refunded")
            case UserAskedForToken() as asked:
                await self._write_token(event, asked)
            case UserPasswordChanged() as changed:
                if contact := await self._contact(event, changed.user_id):
                    await self._send_about_account(event, contact, "Your password was changed", "password_changed")
            case _:
                pass

    async def _write(
        self, event: CloudEvent, booking: BookingEvent | LatePaymentSettled, subject: str, template: str
    ) -> None:
        contact = await self._contact(event, booking.user_id)
        if contact is None:
            return
        if Channel.EMAIL not in contact.channels:
            log.info("mail_not_wanted", user_id=str(booking.user_id), domain_event_id=str(event.id))
            return
        await self._send(event, contact, subject, template, {"booking": booking})

    async def _write_token(self, event: CloudEvent, asked: UserAskedForToken) -> None:
        """The token is asked for now and kept nowhere; one that is no good any more is not mailed."""
        token = await self._contacts.mail_token(asked.user_id, asked.token_id)
        contact = await self._contact(event, asked.user_id) if token else None
        if contact:
            subject, template = _TOKENS[type(asked)]
            await self._send_about_account(event, contact, subject, template, token=token)

    async def _send_about_account(
        self, event: CloudEvent, contact: Contact, subject: str, template: str, **words: object
    ) -> None:
        """Without a name: whoever registers with the address of others could have us write to them what they like."""
        await self._send(event, contact.model_copy(update={"name": ""}), subject, template, words)

    async def _contact(self, event: CloudEvent, user_id: UUID) -> Contact | None:
        contact = await self._contacts.find(user_id)
        if contact is None:
            log.info("nobody_to_write_to", user_id=str(user_id), domain_event_id=str(event.id))
        return contact

    async def _send(
        self, event: CloudEvent, contact: Contact, subject: str, template: str, words: Mapping[str, object]
    ) -> None:
        words = {"name": contact.name, **words}
        try:
            await self._mail.send(
                Mail(
                    id=event.id,
                    date=event.time,
                    to_name=contact.name,
                    to_address=contact.email,
                    subject=subject,
                    text=_templates.get_template(f"{template}.txt.j2").render(words),
                    html=_templates.get_template(f"{template}.html.j2").render(words),
                )
            )
        except Undeliverable as error:
            raise Impossible(str(error)) from None
        log.info("mail_sent", template=template, domain_event_id=str(event.id))


def _format_time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%A, %d %B %Y, %H:%M} UTC"


def _format_reason(reason: str) -> str:
    return _REASONS.get(reason, "something went wrong on our side")


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html.j2"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_templates.filters |= {"time": _format_time, "reason": _format_reason}
_templates.globals |= {"money": format_money}
