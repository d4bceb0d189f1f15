"""PayU's access tokens: one for all calls of a point of sale, renewed before its time is over."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import orjson

from domain.payments import PaymentRejected, PaymentUnknown

PATH = "/pl/standard/user/oauth/authorize"
SPARE_SECONDS = 60.0
"""A token is renewed this long before its end, so that no call meets the end on its way."""


class AccessTokens:
    """Fetches a token once for however many calls wait for it (OAuth client credentials)."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str, client_id: str, client_secret: str) -> None:
        self._http = http
        self._url = base_url + PATH
        self._form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._fetching = asyncio.Lock()
        self._token = ""
        self._until = 0.0

    async def current(self) -> str:
        """A token that is valid for some time yet.

        Raises:
            PaymentRejected: PayU does not know our credentials.
            PaymentUnknown: PayU did not answer.
        """
        async with self._fetching:
            if time.monotonic() >= self._until:
                asked_at = time.monotonic()
                granted = await self._fetch()
                self._token, self._until = granted["access_token"], asked_at + granted["expires_in"] - SPARE_SECONDS
            return self._token

    def forget(self, token: str) -> None:
        """Have the next call fetch a new one, unless another has done so already."""
        if token == self._token:
            self._until = 0.0

    async def _fetch(self) -> dict[str, Any]:
        try:
            async with self._http.post(self._url, data=self._form) as answer:
                status, body = answer.status, await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise PaymentUnknown(f"no token from PayU: {type(error).__name__}") from error
        granted = _read(body)
        if status in (400, 401):
            raise PaymentRejected(str(granted.get("error")), "PayU refuses our credentials")
        if status != 200 or not {"access_token", "expires_in"} <= granted.keys():
            raise PaymentUnknown(f"no token from PayU: status {status}")
        return granted


def _read(body: bytes) -> dict[str, Any]:
    try:
        granted = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return granted if isinstance(granted, dict) else {}
