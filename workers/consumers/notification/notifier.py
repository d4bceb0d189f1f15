"""Sends the message that a domain event leads to, through each channel that its recipient wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from adapters.internal.client import FailedAnswer
from adapters.internal.contacts import ContactsClient
from adapters.kafka.cloud_events import CloudEvent
from workers.consumers.notification.channels import (
    CannotDeliver,
    CannotDeliverNow,
    MayHaveArrived,
    Notification,
    NotificationChannel,
    Patience,
)
from workers.consumers.notification.messages import Message, message_for
from workers.consumers.retries import TryLater
from workers.consumers.runner import Impossible

log = structlog.get_logger()

_IN_THE_STREAM: Final = Patience(3.0)  # for one channel: messages to other people wait behind this one
_BESIDE_THE_STREAM: Final = Patience(15.0, accepting=120.0)
LONGEST_RETRY: Final = 150.0
"""Seconds for a retry, with what comes before the channel."""


class Notifier:
    """Handles domain events.

    Erased people and people whose token has expired get no message. A person who has not proven the address gets only
    the messages with a token, which prove it.
    """

    def __init__(self, contacts: ContactsClient, channels: Sequence[NotificationChannel]) -> None:
        self._contacts = contacts
        self._channels = channels

    async def handle(self, event: CloudEvent) -> None:
        """Send the event's message, if it leads to one; other messages wait behind it.

        Raises:
            Impossible: A channel can never deliver it; the other channels have been tried.
            TryLater: It cannot be delivered now for a reason of its own.
            Refused: UNAVAILABLE: The identity service or a channel cannot be reached.
        """
        await self._send(event, _IN_THE_STREAM)

    async def handle_retry(self, event: CloudEvent) -> None:
        """As `handle`, for a message that was put aside: a slow channel gets more time."""
        await self._send(event, _BESIDE_THE_STREAM)

    async def _send(self, event: CloudEvent, patience: Patience) -> None:
        message = message_for(event.data)
        if message is None:
            return
        notification = await self._prepare(event, message)
        if notification is None:
            return
        wanted = message.channels(notification.contact.channels)
        channels = [channel for channel in self._channels if channel.kind in wanted]
        if not channels:
            log.info("no_channel_wanted", user_id=str(message.user_id), domain_event_id=str(event.id))
        failures = [why for channel in channels if (why := await _send(channel, notification, patience))]
        if later := [why for why in failures if isinstance(why, CannotDeliverNow)]:
            may_have_arrived = any(isinstance(why, MayHaveArrived) for why in later)
            raise TryLater("; ".join(map(str, later)), may_have_arrived=may_have_arrived)
        if failures:
            raise Impossible("; ".join(map(str, failures)))

    async def _prepare(self, event: CloudEvent, message: Message) -> Notification | None:
        """Add the recipient and the token; None if either does not exist any more, or the address is not proven."""
        try:
            return await self._addressed(event, message)
        except FailedAnswer as error:
            raise TryLater(error.problem.detail) from None  # the others' data may be in order

    async def _addressed(self, event: CloudEvent, message: Message) -> Notification | None:
        values = dict(message.values)
        if message.token_id:
            token = await self._contacts.mail_token(message.user_id, message.token_id)
            if token is None:
                return None
            values["token"] = token
        contact = await self._contacts.find(message.user_id)
        if contact is None:
            log.info("recipient_erased", user_id=str(message.user_id), domain_event_id=str(event.id))
            return None
        if not (contact.email_verified or message.token_id):
            # Another person may have registered the address, and would make us write to its owner.
            log.info("address_not_proven", user_id=str(message.user_id), domain_event_id=str(event.id))
            return None
        if message.protects_account:
            contact = contact.model_copy(update={"name": ""})
        values["name"] = contact.name
        return Notification(event.id, event.time, contact, message.template, values)


async def _send(
    channel: NotificationChannel, notification: Notification, patience: Patience
) -> CannotDeliver | CannotDeliverNow | None:
    """Send through one channel; returns why it cannot be delivered, so that the other channels are still tried."""
    try:
        await channel.send(notification, patience)
    except (CannotDeliver, CannotDeliverNow) as error:
        return error
    log.info(
        "notification_sent",
        channel=channel.kind,
        template=notification.template,
        domain_event_id=str(notification.id),
    )
    return None
