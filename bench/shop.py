"""The public API as organizers and buyers use it, with the times that their answers took."""

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
from bench.stage import HOLD_SECONDS, seated

CONFIRMED = "confirmed"
_BUYERS = 10
_PATIENCE = aiohttp.ClientTimeout(total=60)


class Purchase(NamedTuple):
    """One attempt to buy.

    Attributes:
        outcome: `confirmed`, or the step that failed and its HTTP status.
        hold: Seconds from when the hold was due to be sent until its answer.
        payment: Seconds that the payment took; None if there was none.
    """

    outcome: str
    hold: float
    payment: float | None = None


class Shop:
    """One HTTP client for all buyers, who take turns."""

    def __init__(self, http: aiohttp.ClientSession, tokens: Sequence[str]) -> None:
        self._http = http
        self._buyers = cycle(tokens)

    async def buy(self, event: str, seats: Sequence[str], *, due: float | None = None) -> Purchase:
        """Hold and pay; `due` is when that should have begun, by `perf_counter`."""
        token, started = next(self._buyers), perf_counter()
        status, booking = await self._post(token, "/v1/bookings", {"event_id": event, "seats": list(seats)})
        held = perf_counter()
        hold = held - (due or started)
        if status != 201:
            return Purchase(f"hold {status}", hold)
        order = {"provider": "stripe", "payment_method": "pm_card_visa"}
        status, _ = await self._post(token, f"/v1/bookings/{booking['id']}/payment", order)
        return Purchase(CONFIRMED if status == 200 else f"payment {status}", hold, perf_counter() - held)

    async def _post(self, token: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4())}
        async with self._http.post(path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


@asynccontextmanager
async def client(api_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with as many connections as there are calls: who arrives waits for nobody."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    async with aiohttp.ClientSession(api_url, connector=connector, timeout=_PATIENCE) as http:
        yield http


async def register_buyers(http: aiohttp.ClientSession) -> Sequence[str]:
    """Some new accounts' e-mail addresses."""
    emails = [f"buyer-{uuid4()}@example.test" for _ in range(_BUYERS)]
    for email in emails:
        await _made(http, "/v1/users", {"email": email, "password": PASSWORD, "name": "Bench Buyer"})
    return emails


async def log_in(http: aiohttp.ClientSession, *emails: str) -> Sequence[str]:
    """Their access tokens, which last a quarter of an hour."""
    return [
        (await _made(http, "/v1/sessions", {"email": email, "password": PASSWORD}))["access_token"] for email in emails
    ]


async def publish(http: aiohttp.ClientSession, seats: int) -> str:
    """An event on sale with that many seats; its id."""
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
