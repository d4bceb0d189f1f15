"""Mails as their recipients read them."""

from __future__ import annotations

import re
from typing import Any

import httpx2

from tests.waiting import eventually

VERIFICATION = "Confirm your email address"
RESET = "Reset your password"
CHANGED = "Your password was changed"
_TOKEN = re.compile(r"\b[0-9a-f]{64}\b")


class MailBox:
    """The mail catcher's mails, for any recipient."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def mails(self, address: str, subject: str) -> list[dict[str, Any]]:
        found = (await self._http.get("/api/v1/search", params={"query": f'to:"{address}"'})).json()["messages"]
        return [
            (await self._http.get(f"/api/v1/message/{mail['ID']}")).json()
            for mail in found
            if mail["Subject"] == subject
        ]

    async def tokens(self, address: str, subject: str, count: int = 1) -> list[str]:
        """The tokens of all such mails to the address, once there are so many."""

        async def arrived() -> list[dict[str, Any]] | None:
            mails = await self.mails(address, subject)
            return mails if len(mails) >= count else None

        mails = await eventually(arrived, within=60)
        assert mails
        return [_TOKEN.findall(mail["Text"])[0] for mail in mails]
