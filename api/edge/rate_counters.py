"""Counts events by fixed windows of time in Redis, which all processes of the API share: one round trip a count."""

from __future__ import annotations

import time
from collections import Counter
from typing import NamedTuple

from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool, Redis

from adapters.redis.pools import measured
from adapters.redis.retry import RetryOnce
from config.settings import Settings


class Allowance(NamedTuple):
    """What is left of a limit in the current window.

    Attributes:
        left: Negative where the limit is exceeded.
        resets_in: Seconds until the next window.
    """

    quota: int
    window: int
    left: int
    resets_in: int


class Counters:
    """By windows that begin at whole multiples of their length, so that a burst may be twice a limit at their border.

    The border goes by each process's clock; Redis only counts.
    """

    def __init__(self, settings: Settings) -> None:
        url = settings.redis_url.get_secret_value()
        # In a rush calls wait for a connection. From redis-py's default pool they would get an error, and not count.
        pool = BlockingConnectionPool.from_url(
            url, max_connections=50, timeout=0.5, socket_timeout=0.5, socket_connect_timeout=0.5, retry=RetryOnce()
        )
        self._redis = measured(Redis.from_pool(pool), "rate limits")
        self._storage = RedisStorage(
            f"async+{url}", implementation="redispy", key_prefix="seatwright:limits",
            connection_pool=pool,  # type: ignore[arg-type]  # it passes it on to redis-py
        )  # fmt: skip

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def spend(self, limit: RateLimitItem, *subject: str, amount: int = 1) -> Allowance:
        """Count one more, also beyond the limit; a negative amount gives back.

        Raises:
            RedisError, OSError: Redis cannot be asked.
        """
        now, window = time.time(), limit.get_expiry()
        key = limit.key_for(*subject, str(int(now // window)))
        count = await self._storage.incr(key, window + 1, amount)
        return Allowance(limit.amount, window, limit.amount - count, max(1, int(window - now % window)))

    async def mark(self, seconds: int, *subject: str) -> None:
        """Remember a subject for some seconds from now on, however long it was remembered before."""
        await self._redis.set(self._storage.bridge.prefixed_key("/".join(subject)), 1, ex=seconds)

    async def is_marked(self, *subject: str) -> bool:
        """Whether `mark` was called for the subject and its time has not ended."""
        return await self._storage.get("/".join(subject)) > 0


class LocalCounter:
    """Counts by such windows in this process alone: it costs no round trip, and can always be asked.

    Args:
        quota: How many are allowed in a window.
        window: Its length in seconds.
    """

    def __init__(self, quota: int, window: int) -> None:
        self._quota, self._window = quota, window
        self._number = 0.0
        self._counts: Counter[str] = Counter()

    def spend(self, subject: str, amount: int = 1) -> Allowance:
        """Count one more, also beyond the limit; an amount of 0 only reads."""
        number, passed = divmod(time.time(), self._window)
        if number != self._number:
            self._number = number
            self._counts.clear()
        if amount:
            self._counts[subject] += amount
        left = self._quota - self._counts[subject]
        return Allowance(self._quota, self._window, left, max(1, int(self._window - passed)))
