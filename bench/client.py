"""A client of the public API for organizers and buyers that measures response times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from time import perf_counter
from typing import Any, NamedTuple
from uuid import uuid4

import aiohttp

from api.identity.demo_accounts import PASSWORD
from bench.environment import HOLD_SECONDS, seated

CONFIRMED = "confirmed"
_BUYERS = 10
_TIMEOUT = aiohttp.ClientTimeout(total=60)


class Purchase(NamedTuple):
    """The result of one purchase.

    Attributes:
        outcome: `confirmed`, or the step that failed and its HTTP status.
        hold: Seconds from the time when the hold was due until its response.
        payment: Seconds that the payment took; None if there was none.
    """

    outcome: str
    hold: float
    payment: float | None = None


class ApiClient:
    """Buys for several buyers in turn over one HTTP session."""

    def __init__(self, http: aiohttp.ClientSession, tokens: Sequence[str]) -> None:
        self._http = http
        self._buyers = cycle(tokens)

    async def buy(self, event: str, seats: Sequence[str], *, due: float | None = None) -> Purchase:
        """Hold and pay; `due` is the planned start, by `perf_counter`."""
        token, started = next(self._buyers), perf_counter()
        status, booking = await self._post(token, "/v1/bookings", {"event_id": event, "seats": list(seats)})
        held = perf_counter()
        hold = held - (due or started)
        if status != 201:
            return Purchase(f"hold {status}", hold)
        method = {"provider": "stripe", "payment_method": "pm_card_visa"}
        status, _ = await self._post(token, f"/v1/bookings/{booking['id']}/payment", method)
        return Purchase(CONFIRMED if status == 200 else f"payment {status}", hold, perf_counter() - held)

    async def _post(self, token: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4())}
        async with self._http.post(path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


@asynccontextmanager
async def open_http(api_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A session without a connection limit, so that no call waits for another."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    async with aiohttp.ClientSession(api_url, connector=connector, timeout=_TIMEOUT) as http:
        yield http


async def register_buyers(http: aiohttp.ClientSession) -> Sequence[str]:
    """Register new accounts; returns their email addresses."""
    emails = [f"buyer-{uuid4()}@example.test" for _ in range(_BUYERS)]
    for email in emails:
        await _made(http, "/v1/users", {"email": email, "password": PASSWORD, "name": "Bench Buyer"})
    return emails


async def log_in(http: aiohttp.ClientSession, *emails: str) -> Sequence[str]:
    """Log in; returns access tokens, which are valid for 15 minutes."""
    return [
        (await _made(http, "/v1/sessions", {"email": email, "password": PASSWORD}))["access_token"] for email in emails
    ]


async def publish(http: aiohttp.ClientSession, seats: int) -> str:
    """Publish an event with this number of seats; returns its id."""
    [token] = await log_in(http, "organizer@example.test")
    headers = {"Authorization": f"Bearer {token}"}
    body = {
        "name": f"{seats} seats",
        "category": "bench",
        "venue": {"name": "Hall", "city": "Utrecht", "country": "NL", "latitude": 52.09, "longitude": 5.12},
        "starts_at": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
        "currency": "EUR",
        "hold_seconds": HOLD_SECONDS,
        "sections": [seated(seats).model_dump(exclude={"capacity"})],
    }
    event = str((await _made(http, "/v1/events", body, headers))["id"])
    await _made(http, f"/v1/events/{event}/publish", None, headers)
    return event


async def _made(
    http: aiohttp.ClientSession, path: str, body: Any, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    async with http.post(path, json=body, headers=headers) as answer:
        if not answer.ok:
            raise RuntimeError(f"POST {path}: {answer.status} {await answer.text()}")
        made: dict[str, Any] = await answer.json()
        return made
