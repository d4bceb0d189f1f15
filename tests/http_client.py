"""Clients of plain HTTP, as patient as a slow machine needs them."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.waiting import eventually

_ANSWER_SECONDS = 90
_KNOWN_WITHIN = 120
"""Seconds of a quiet machine after which a server that was stopped answers again."""


def http_client(base_url: str = "", *, timeout: float = _ANSWER_SECONDS, **more: Any) -> httpx2.AsyncClient:
    """Nothing here speaks TLS, and to load the machine's certificates would cost every test 25 ms."""
    return httpx2.AsyncClient(base_url=base_url, timeout=timeout, verify=False, **more)


def patient_client(base_url: str) -> httpx2.AsyncClient:
    """A client that repeats a call whose answer is 503, as every client should: with the same key, after a pause.

    On a slow machine one of our servers may answer later than the API waits for it.
    """
    return http_client(base_url, transport=_Patient(verify=False, limits=httpx2.Limits(max_connections=400)))


class _Patient(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if response := await self._known(request):
            return response
        again: httpx2.Response = await eventually(lambda: self._known(request), within=_KNOWN_WITHIN)
        return again

    async def _known(self, request: httpx2.Request) -> httpx2.Response | None:
        response = await super().handle_async_request(request)
        if response.status_code != 503:
            return response
        await response.aclose()
        return None
