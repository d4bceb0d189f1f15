"""Limits how often returning buyers make us ask a payment provider, for all API processes together."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from redis.asyncio import Redis

PAUSE: Final = timedelta(seconds=5)


class ReturnPauses:
    """The first return asks the provider immediately; later returns ask once, at the end of the pause."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def wait(self, subject: UUID) -> timedelta | None:
        """How long this return has to wait before it asks the provider; None if an earlier return asks for it.

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
        """Begin a pause, for a return that has waited."""
        await self._redis.set(_pause_of(subject), 1, px=PAUSE)


def _pause_of(subject: UUID) -> str:
    return f"returned:{subject}"
