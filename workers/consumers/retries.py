"""Retries outside the stream: a message that fails alone waits in a retry topic, and delays no other message.

It goes to a topic for each length of the wait, so that the messages of one topic are due in their order.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from adapters.kafka.client import RETRY_WAITS, Headers, OutgoingMessage, retries
from adapters.kafka.cloud_events import CloudEvent
from adapters.kafka.subscriber import IncomingMessage

MAX_RETRIES: Final = 26
"""One after a minute, one after ten minutes, then one an hour for a day."""

MAX_UNCONFIRMED: Final = 2
"""Retries after a try that may have had its effect: each may be one copy more."""

_NUMBER: Final = "retry_number"
_UNCONFIRMED: Final = "retry_unconfirmed"
_DUE: Final = "retry_due"
_ORIGIN: Final = ("origin_topic", "origin_partition", "origin_offset")


class TryLater(Exception):
    """This message alone cannot be handled now; others can. The error text has no personal data.

    Attributes:
        may_have_arrived: Perhaps its effect has taken place, and a repetition is not harmless.
    """

    def __init__(self, why: str, *, may_have_arrived: bool = False) -> None:
        super().__init__(why)
        self.may_have_arrived = may_have_arrived


@dataclass(frozen=True)
class RetryPolicy:
    """How the messages of a consumer group are retried beside its stream.

    Attributes:
        handle: As `Subscription.handle`, with more patience, since a retry holds up nothing but other retries.
        waits: Seconds before a retry, by the name of its wait; the last one is used again and again.
        limit: How many retries there are before the message goes to the dead letters.
        seconds: How long a retry may take.
    """

    handle: Callable[[CloudEvent], Awaitable[None]]
    waits: tuple[tuple[str, float], ...] = tuple(RETRY_WAITS.items())
    limit: int = MAX_RETRIES
    seconds: float = 30.0

    def topics(self, group: str) -> tuple[str, ...]:
        """The topics in which retries wait."""
        return tuple(retries(group, name) for name, _ in self.waits)

    def next(
        self, group: str, message: IncomingMessage, now: float, *, may_have_arrived: bool = False
    ) -> OutgoingMessage | None:
        """The message for its next retry; None if there have been enough."""
        number = 1 + retries_of(message)
        unconfirmed = int(_header(message, _UNCONFIRMED) or 0) + may_have_arrived
        if number > self.limit or unconfirmed > MAX_UNCONFIRMED:
            return None
        name, wait = self.waits[min(number, len(self.waits)) - 1]
        numbers = {_NUMBER: str(number), _UNCONFIRMED: str(unconfirmed)}
        added = numbers | {_DUE: f"{now + wait:.3f}"} | origin_of(message)
        kept = tuple((key, value) for key, value in message.headers if key not in added)
        headers: Headers = kept + tuple((key, value.encode()) for key, value in added.items())
        return OutgoingMessage(retries(group, name), message.key, message.value, headers)


def retries_of(message: IncomingMessage) -> int:
    """How many retries the message has had, this one included; 0 in the stream itself."""
    return int(_header(message, _NUMBER) or 0)


def wait_of(message: IncomingMessage) -> float:
    """Seconds until the message is due; 0 or less where it need not wait."""
    due = _header(message, _DUE)
    return float(due) - time.time() if due else 0


def origin_of(message: IncomingMessage) -> dict[str, str]:
    """Where the message was in the stream: topic, partition and offset."""
    known = [_header(message, name) for name in _ORIGIN]
    if None in known:
        known = [message.partition.topic, str(message.partition.number), str(message.offset)]
    return dict(zip(_ORIGIN, map(str, known), strict=True))


def _header(message: IncomingMessage, name: str) -> str | None:
    return next((value.decode() for key, value in message.headers if key == name), None)
