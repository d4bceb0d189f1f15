"""The port through which messages reach people, and its adapter for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from adapters.internal.contacts import Contact
from adapters.mail import Deferred, Mail, MailServer, Unconfirmed, Undeliverable
from domain.identity import Channel
from workers.consumers.notification.rendering import render


@dataclass(frozen=True)
class Notification:
    """A message that is ready for any channel.

    Attributes:
        id: The same whenever the same message is sent again, so that a channel can recognize it.
        time: When the event of which it informs happened (UTC).
        template: The message's name in the channel's folder of templates.
        values: What the templates show.
    """

    id: UUID
    time: datetime
    contact: Contact
    template: str
    values: Mapping[str, object]


class CannotDeliver(Exception):
    """A channel can never deliver a notification. The error text has no personal data."""


class CannotDeliverNow(Exception):
    """A channel cannot deliver this notification now, but can deliver others. The error text has no personal data."""


class MayHaveArrived(CannotDeliverNow):
    """A channel has got the notification and does not say whether it delivers it: a repetition may be a second copy."""


class Patience(NamedTuple):
    """How long a channel may take for one notification.

    Attributes:
        seconds: For its answers.
        accepting: For its last answer, once it has got the notification; None: the rest of `seconds`.
    """

    seconds: float
    accepting: float | None = None


class NotificationChannel(Protocol):
    """One way to reach a person."""

    @property
    def kind(self) -> Channel:
        """The channel, as people choose it in their preferences."""
        ...

    async def send(self, notification: Notification, patience: Patience) -> None:
        """Render the notification with this channel's templates, and send it; it may come again with the same id.

        Args:
            notification: The message.
            patience: How long the channel may take for it.

        Raises:
            CannotDeliver: It can never be delivered.
            CannotDeliverNow: It cannot be delivered now, and others can. `MayHaveArrived` where that is not certain.
            Refused: UNAVAILABLE: The channel as a whole does not work.
        """
        ...


class EmailChannel:
    """Sends text and HTML through a mail server; the notification's id becomes the Message-ID."""

    kind = Channel.EMAIL

    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def send(self, notification: Notification, patience: Patience) -> None:
        """Send one email.

        Raises:
            CannotDeliver: The mail server refuses it for good.
            CannotDeliverNow: The mail server asks to try later, or does not answer in time. `MayHaveArrived` where it
                had got the text by then.
            Refused: UNAVAILABLE: The mail server cannot be reached.
        """
        try:
            await self._server.send(email(notification), seconds=patience.seconds, accepting=patience.accepting)
        except Unconfirmed as error:
            raise MayHaveArrived(str(error)) from None
        except Deferred as error:
            raise CannotDeliverNow(str(error)) from None
        except Undeliverable as error:
            raise CannotDeliver(str(error)) from None


def email(notification: Notification) -> Mail:
    """The email for a notification, in the language of its recipient."""
    language = notification.contact.language
    name = f"email/{notification.template}"
    return Mail(
        id=notification.id,
        date=notification.time,
        to_address=notification.contact.email,
        subject=render(f"{name}.subject", notification.values, language).strip(),
        text=render(name, notification.values, language),
        html=render(name, notification.values, language, "html"),
    )
