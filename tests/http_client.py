"""Clients of plain HTTP, as patient as a slow machine needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import httpx2
import orjson

from tests.waiting import Patience, eventually

_ANSWER_SECONDS = 90
_AVAILABLE_WITHIN = 120
"""Seconds of a quiet machine after which a server that was stopped answers again."""
_PAUSES = (0.2, 0.5, 1, 2)
"""Between calls that answer at once that the outcome is unknown: a saga that waits for an operator stays so."""
_AT_ONCE = 5
"""Seconds after which the API has waited for an outcome that may still come."""
_KNOWN_WITHIN = 600
"""Seconds of a quiet machine after which no outcome comes any more."""

REPEATED: set[str] = set()
"""Ids of the requests that were repeated after a 503. What such a request has noted may be noted again by the next."""


def http_client(base_url: str = "", *, timeout: float = _ANSWER_SECONDS, **more: Any) -> httpx2.AsyncClient:
    """A client without TLS, whose certificates would cost every test 25 ms."""
    return httpx2.AsyncClient(base_url=base_url, timeout=timeout, verify=False, **more)


def patient_client(base_url: str) -> httpx2.AsyncClient:
    """A client that repeats a call whose answer is 503, as every client should: with the same key, after a pause.

    On a slow machine one of our servers may answer later than the API allows.
    """
    return http_client(base_url, transport=_Patient(verify=False, limits=httpx2.Limits(max_connections=400)))


async def unless_unavailable(call: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """Repeat a call, with its key, while a busy API answers `unavailable`; returns the first other answer."""

    async def answer() -> list[httpx2.Response]:  # a list: a response with an error is false
        given = await call()
        assert given.status_code != 503 or await _problem(given) != "unavailable", given.text
        return [given]

    [found] = await eventually(answer)
    return found


async def is_ready(client: httpx2.AsyncClient) -> bool:
    """Say that the process is ready.

    Raises:
        AssertionError: It is not ready yet. On a busy machine the first connections may be later than a check waits.
    """
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready"), answer.text
    return True


class _Patient(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        pauses, patience = iter((*_PAUSES, None)), Patience(_KNOWN_WITHIN)
        while True:
            asked = monotonic()
            response = await self._available(request)
            if response.status_code != 503 or await _problem(response) != "outcome-unknown":
                return response
            pause = 0 if monotonic() - asked > _AT_ONCE and not await patience.is_over() else next(pauses)
            if pause is None:
                return response
            await asyncio.sleep(pause)

    async def _available(self, request: httpx2.Request) -> httpx2.Response:
        """The first answer that is not `unavailable`; it may be `outcome-unknown`."""
        if response := await self._sent_on(request):
            return response
        again: httpx2.Response = await eventually(lambda: self._sent_on(request), within=_AVAILABLE_WITHIN)
        return again

    async def _sent_on(self, request: httpx2.Request) -> httpx2.Response | None:
        try:
            response = await super().handle_async_request(request)
        except httpx2.ReadError:
            # The server may close a connection that was idle just when the next request is sent on it: RFC 9112, 9.3.1.
            if "Idempotency-Key" not in request.headers:
                raise
            return None
        # A 503 that does not say what to do is for the test to see.
        is_to_be_repeated = response.status_code == 503 and "Retry-After" in response.headers
        if is_to_be_repeated and await _problem(response) == "unavailable":
            REPEATED.add(response.headers["X-Request-Id"])
            return None
        return response


async def _problem(response: httpx2.Response) -> str:
    body = await response.aread()
    is_problem = response.headers.get("content-type", "").startswith("application/problem")
    return str(orjson.loads(body)["type"]).rpartition("/")[2] if is_problem else ""
