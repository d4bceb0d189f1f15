"""The notification consumer: sends each person the messages about their bookings and their account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.internal.contacts import ContactsClient
from adapters.mail import MailServer
from config.settings import Settings, secret
from domain.domain_events import BookingEvent, PaymentEvent, UserEvent
from workers.consumers.notification.channels import EmailChannel
from workers.consumers.notification.notifier import LONGEST_RETRY, Notifier
from workers.consumers.retries import RetryPolicy
from workers.consumers.runner import Subscription

GROUP = "notification"
_TOPICS = (BookingEvent.topic, PaymentEvent.topic, UserEvent.topic)


@asynccontextmanager
async def subscription(settings: Settings) -> AsyncIterator[Subscription]:
    """The consumer with its channels and its client of the identity service."""
    contacts = ContactsClient(settings.identity_address, secret(settings.internal_token))
    mail = MailServer(settings.smtp_host, settings.smtp_port, settings.mail_sender)
    try:
        notifier = Notifier(contacts, [EmailChannel(mail)])
        yield Subscription(GROUP, _TOPICS, notifier.handle, RetryPolicy(notifier.handle_retry, seconds=LONGEST_RETRY))
    finally:
        await mail.close()
        await contacts.close()
