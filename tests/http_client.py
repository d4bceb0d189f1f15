"""A client of plain HTTP, as patient as a slow machine needs it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import orjson

_ANSWER_SECONDS = 90
_PAUSES = (0.2, 0.5, 1, 2, 4)


def http_client(base_url: str = "", *, timeout: float = _ANSWER_SECONDS, **more: Any) -> httpx2.AsyncClient:
    """Nothing here speaks TLS, and to load the machine's certificates would cost every test 25 ms."""
    return httpx2.AsyncClient(base_url=base_url, timeout=timeout, verify=False, **more)


def patient_client(base_url: str) -> httpx2.AsyncClient:
    """A client for tests that disturb no server: it repeats a call that is `unavailable`, since nothing was done.

    On a slow machine one of our servers may answer later than the API waits for it.
    """
    return http_client(base_url, transport=_Patient(verify=False, limits=httpx2.Limits(max_connections=400)))


class _Patient(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for pause in _PAUSES:
            response = await super().handle_async_request(request)
            if response.status_code != 503 or not await _is_unavailable(response):
                return response
            await asyncio.sleep(pause)
        return await super().handle_async_request(request)


async def _is_unavailable(response: httpx2.Response) -> bool:
    if not response.headers.get("content-type", "").startswith("application/problem"):
        return False
    return str(orjson.loads(await response.aread())["type"]).endswith("/unavailable")
