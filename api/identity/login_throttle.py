"""Slows down who guesses passwords, without shutting the owner out of the account.

Failures count for the account from this address, and for the account from all addresses that it never logged in from.
So who guesses from many addresses meets the second limit, and the owner at home meets neither. An account is counted by
the hash by which it is found, so that no spelling of its address has tries of its own, and counted alike where there is
none. Every door at which a password is asked for counts together, also those for who is logged in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Final, NamedTuple

from limits import parse
from redis.exceptions import RedisError

from api.edge.rate_counters import Counters
from config.settings import Settings
from domain.problems import ProblemType, Refused

_HOME: Final = int(timedelta(days=90).total_seconds())


@dataclass
class Try:
    """What becomes of one try."""

    was_wrong: bool = False


class _Names(NamedTuple):
    """What is counted: the account, and the account at the address; neither tells an address of any kind."""

    account: str
    here: str


class LogInThrottle:
    """One for each process.

    Args:
        counters: None where the settings have no limits: then nobody is slowed down.
    """

    def __init__(self, settings: Settings, counters: Counters | None) -> None:
        self._counters = counters
        if counters:
            self._from_one_address = parse(settings.rate_limits["log-in-failures"])
            self._from_anywhere = parse(settings.rate_limits["log-in-failures-of-account"])

    @asynccontextmanager
    async def counted(self, account: bytes, address: str) -> AsyncIterator[Try]:
        """Make one try; it counts as wrong before it is made, so that many at once gain nothing.

        Args:
            account: The keyed hash by which it is found.

        Raises:
            Refused: RATE_LIMITED: it is not to be made yet. UNAVAILABLE: Redis cannot be asked.
        """
        tried = Try()
        if self._counters is None:
            yield tried
            return
        names = _names(account, address)
        try:
            is_home = await self._spend(self._counters, names)
        except (RedisError, OSError):
            raise Refused(ProblemType.UNAVAILABLE, "Tries to log in cannot be counted; try again.") from None
        try:
            yield tried
        except BaseException:
            await self._give_back(self._counters, names, is_home=is_home)
            raise
        if not tried.was_wrong:
            await self._give_back(self._counters, names, is_home=is_home)
            await self.is_at_home(account, address)

    async def is_at_home(self, account: bytes, address: str) -> None:
        """Remember that the account's owner has been at the address."""
        if self._counters:
            with suppress(RedisError, OSError):  # it is a stranger there until the next time
                await self._counters.mark(_HOME, "home", _names(account, address).here)

    async def _spend(self, counters: Counters, names: _Names) -> bool:
        """Count the try; whether the account is at home at the address."""
        is_home = await counters.is_marked("home", names.here)
        here = await counters.spend(self._from_one_address, "failures", names.here)
        if here.left < 0:
            raise _too_often(here.resets_in)
        if not is_home:
            anywhere = await counters.spend(self._from_anywhere, "failures", names.account)
            if anywhere.left < 0:
                raise _too_often(anywhere.resets_in)
        return is_home

    async def _give_back(self, counters: Counters, names: _Names, *, is_home: bool) -> None:
        with suppress(RedisError, OSError):  # it counts as a failure for some minutes
            await counters.spend(self._from_one_address, "failures", names.here, amount=-1)
            if not is_home:
                await counters.spend(self._from_anywhere, "failures", names.account, amount=-1)


def _names(account: bytes, address: str) -> _Names:
    return _Names(account.hex(), sha256(account + address.encode()).hexdigest())


def _too_often(wait: int) -> Refused:
    detail = "Too many tries to log in have failed; wait, or log in from where you have logged in before."
    return Refused(ProblemType.RATE_LIMITED, detail, retry_after=wait)
