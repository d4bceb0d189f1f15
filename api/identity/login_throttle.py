"""Limits guesses of passwords, without locking the owner out of the account.

Failures count for the account at this address, and for the account at all addresses that it never logged in from. So
guesses from many addresses meet the second limit, and the owner at a known address meets neither. An account is
counted by the hash by which it is found, so that no spelling of its address has tries of its own; unknown accounts are
counted in the same way. All routes that ask for a password share the counts.
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

from api.edge.rate_counters import Allowance, Counters
from config.settings import Settings
from domain.problems import ProblemType, Refused

_HOME: Final = int(timedelta(days=90).total_seconds())


@dataclass
class Try:
    """The outcome of one try."""

    was_wrong: bool = False


class TooOften(Refused):
    """The try comes too early.

    Attributes:
        is_first: No other try was refused in this window, so that one entry in the audit log stands for all of them.
    """

    def __init__(self, allowance: Allowance) -> None:
        super().__init__(
            ProblemType.RATE_LIMITED,
            "Too many log-in attempts have failed. Wait, or log in from a network that you have used before.",
            retry_after=allowance.resets_in,
        )
        self.is_first = allowance.left == -1


class _Names(NamedTuple):
    """What is counted: the account, and the account at the address; neither reveals an address."""

    account: str
    here: str


class LogInThrottle:
    """One for each process.

    Args:
        counters: None where the settings have no limits: then nothing is counted.
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
            address: The IP address that the try comes from.

        Raises:
            TooOften: It is too early for another try.
            Refused: UNAVAILABLE: Redis cannot be reached.
        """
        tried = Try()
        if self._counters is None:
            yield tried
            return
        names = _names(account, address)
        try:
            is_home = await self._spend(self._counters, names)
        except (RedisError, OSError):
            raise Refused(ProblemType.UNAVAILABLE, "Log-in is not available at the moment. Try again.") from None
        try:
            yield tried
        except BaseException:
            await self._give_back(self._counters, names, is_home=is_home)
            raise
        if not tried.was_wrong:
            await self._give_back(self._counters, names, is_home=is_home)
            await self.is_at_home(account, address)

    async def is_at_home(self, account: bytes, address: str) -> None:
        """Remember that the account's owner uses this address."""
        if self._counters:
            with suppress(RedisError, OSError):  # the address stays unknown until the next log-in
                await self._counters.mark(_HOME, "home", _names(account, address).here)

    async def _spend(self, counters: Counters, names: _Names) -> bool:
        """Count the try; return whether the address is known for the account."""
        is_home = await counters.is_marked("home", names.here)
        here = await counters.spend(self._from_one_address, "failures", names.here)
        if here.left < 0:
            raise TooOften(here)
        if not is_home:
            anywhere = await counters.spend(self._from_anywhere, "failures", names.account)
            if anywhere.left < 0:
                raise TooOften(anywhere)
        return is_home

    async def _give_back(self, counters: Counters, names: _Names, *, is_home: bool) -> None:
        with suppress(RedisError, OSError):  # it counts as a failure for some minutes
            await counters.spend(self._from_one_address, "failures", names.here, amount=-1)
            if not is_home:
                await counters.spend(self._from_anywhere, "failures", names.account, amount=-1)


def _names(account: bytes, address: str) -> _Names:
    return _Names(account.hex(), sha256(account + address.encode()).hexdigest())
