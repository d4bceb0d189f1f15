"""Lets one request for a mail to an address go on to the database in ten seconds, whether or not it has an account.

Each request locks the account's row. Many at once would wait for each other there, and the time of the last answer
would show that the account exists. No person asks for two mails in ten seconds; they would get one in any case.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from limits import RateLimitItemPerSecond
from redis.exceptions import RedisError

from api.edge.rate_counters import Counters
from domain.problems import ProblemType, Refused

_ONE: Final = RateLimitItemPerSecond(1, 10)


class MailRequests:
    """One for each process.

    Args:
        counters: None where the settings have no limits: then each request is the first.
    """

    def __init__(self, counters: Counters | None) -> None:
        self._counters = counters

    @asynccontextmanager
    async def counted(self, kind: str, account: bytes) -> AsyncIterator[bool]:
        """Make one request; whether it is the first one. If it fails, the next one is the first again.

        Args:
            kind: Why a mail may be sent; each kind is counted alone.
            account: The keyed hash by which an account is found.

        Raises:
            Refused: UNAVAILABLE: Redis cannot be reached.
        """
        if self._counters is None:
            yield True
            return
        try:
            is_first = (await self._counters.spend(_ONE, "mail", kind, account.hex())).left >= 0
        except (RedisError, OSError):
            raise Refused(ProblemType.UNAVAILABLE, "Mails are not available at the moment. Try again.") from None
        try:
            yield is_first
        except BaseException:
            if is_first:
                with suppress(RedisError, OSError):  # the same request may be in vain for some seconds
                    await self._counters.spend(_ONE, "mail", kind, account.hex(), amount=-1)
            raise
