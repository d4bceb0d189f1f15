"""Revoked tokens and sessions, shared through Redis with the processes that have no access to the identity database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from redis.asyncio import Redis

_KEY: Final = "revoked"


class RevocationBoard:
    """A sorted set of subjects by the time of revocation (seconds since the epoch, by Postgres's clock)."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write(self, revoked: Mapping[UUID, float], *, forget_before: float) -> None:
        """Add revocations, and drop those that are older than any valid token."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            if revoked:
                pipeline.zadd(_KEY, {str(subject): at for subject, at in revoked.items()})
            pipeline.zremrangebyscore(_KEY, "-inf", forget_before)
            await pipeline.execute()

    async def read(self, since: float) -> dict[UUID, float]:
        """The subjects that were revoked since that time."""
        found: list[tuple[bytes, float]]
        found = await self._redis.zrange(_KEY, since, "+inf", byscore=True, withscores=True)  # type: ignore[assignment]
        return {UUID(subject.decode()): at for subject, at in found}
