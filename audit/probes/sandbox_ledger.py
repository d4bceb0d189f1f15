"""Reads the payment sandbox's record of every intent, to compare it with the platform's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import cache
from ssl import SSLContext
from typing import Any, NamedTuple
from uuid import UUID

import httpx2
import orjson

from adapters.payment.registry import PROVIDERS

_PAGE = 5000


class RecordedIntent(NamedTuple):
    """The provider's record of one intent; amounts in our minor units, converted as the gateways do.

    Attributes:
        booking_id: The booking that the platform named when it created the intent; None for other intents.
        held: Reserved, and neither captured nor released.
    """

    id: str
    booking_id: str | None
    currency: str
    held: int
    captured: int
    refunded: int


class SandboxLedger:
    """Reads the ledger over the sandbox's control API."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.AsyncClient(base_url=url, timeout=30, verify=_tls())

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def intents(self, bookings: Sequence[UUID] | None) -> AsyncIterator[RecordedIntent]:
        """Read the intents of these bookings, or of all bookings."""
        for start in range(0, len(bookings or ()), _PAGE):
            chosen = [str(booking) for booking in (bookings or ())[start : start + _PAGE]]
            answer = await self._client.post("/_sandbox/amounts", json={"bookings": chosen})
            for intent in orjson.loads(answer.raise_for_status().content)["amounts"]:
                yield _recorded(*intent)
        since: int | None = 0 if bookings is None else None
        while since is not None:
            answer = await self._client.get("/_sandbox/amounts", params={"since": since, "limit": _PAGE})
            page = orjson.loads(answer.raise_for_status().content)
            since = page["next_since"]
            for intent in page["amounts"]:
                yield _recorded(*intent)


@cache
def _tls() -> SSLContext:
    return httpx2.create_ssl_context()


def _recorded(provider: str, id: str, booking_id: str | None, currency: str, *units: Any) -> RecordedIntent:
    currency = currency.upper()
    held, captured, refunded = (PROVIDERS[provider].from_units(each, currency).amount for each in units)
    return RecordedIntent(id, booking_id, currency, held, captured, refunded)
