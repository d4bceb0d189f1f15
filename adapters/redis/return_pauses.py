"""Spaces out the looks at a payment provider that buyers' returns cause, however often and wherever they come."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from redis.asyncio import Redis

PAUSE: Final = timedelta(seconds=5)


class ReturnPauses:
    """One look at once, then one at the end of each pause in which buyers have returned again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def wait(self, subject: UUID) -> timedelta | None:
        """How long the look for this return has to wait; None where another return's look is enough.

        Args:
            subject: The booking or the exchange.
        """
        if await self._redis.set(_pause_of(subject), 1, px=PAUSE, nx=True):
            return timedelta()
        left = await self._redis.pttl(_pause_of(subject))
        if left <= 0:
            return timedelta()
        is_first = await self._redis.set(f"returned-again:{subject}", 1, px=left, nx=True)
        return timedelta(milliseconds=left) if is_first else None

    async def begin(self, subject: UUID) -> None:
        """Begin a pause, by a look that has waited."""
        await self._redis.set(_pause_of(subject), 1, px=PAUSE)


def _pause_of(subject: UUID) -> str:
    return f"returned:{subject}"
