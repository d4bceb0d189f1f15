"""What has ended before its time, told through Redis to the processes that cannot ask identity's database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from redis.asyncio import Redis

_KEY: Final = "revoked"


class RevocationBoard:
    """A sorted set of subjects by when they were revoked (seconds since the epoch, by Postgres's clock)."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write(self, revoked: Mapping[UUID, float], *, forget_before: float) -> None:
        """Add what is not there yet, and drop what no living token can belong to."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            if revoked:
                pipeline.zadd(_KEY, {str(subject): at for subject, at in revoked.items()})
            pipeline.zremrangebyscore(_KEY, "-inf", forget_before)
            await pipeline.execute()

    async def read(self, since: float) -> dict[UUID, float]:
        """What was revoked since then."""
        found: list[tuple[bytes, float]]
        found = await self._redis.zrange(_KEY, since, "+inf", byscore=True, withscores=True)  # type: ignore[assignment]
        return {UUID(subject.decode()): at for subject, at in found}
