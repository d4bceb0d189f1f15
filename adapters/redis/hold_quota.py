"""Limits how much of an event one user can hold without paying, so that no user blocks seats.

The counts are in Redis alone. If Redis is emptied, users can hold a few more, and nothing worse happens.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, cast
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

_SCRIPT = (Path(__file__).parent / "lua" / "hold_quota.lua").read_text()
_WINDOW: Final = timedelta(minutes=15)


class HoldQuota:
    """Admits or refuses holds of a user for an event.

    Args:
        most_live: How many bookings of an event a user may hold at the same time; 0 means no limit.
        most_unpaid: How many unpaid holds of an event a user may make in 15 minutes, ended holds included.
    """

    def __init__(self, redis: Redis, most_live: int, most_unpaid: int) -> None:
        self._redis = redis
        self._most_live = most_live
        self._most_unpaid = most_unpaid
        self._admit = redis.register_script(_SCRIPT)

    async def admit(self, user_id: UUID, event_id: UUID, booking_id: UUID, hold_seconds: int) -> int:
        """Count one more hold, or refuse it; the same booking is counted once.

        Returns:
            Seconds after which to try again; 0 if admitted.
        """
        if not self._most_live:
            return 0
        window = int(_WINDOW.total_seconds() * 1000)
        arguments: list[str | int] = [str(booking_id), hold_seconds * 1000, self._most_live, self._most_unpaid, window]
        return math.ceil(int(await self._admit(keys=_keys(user_id, event_id), args=arguments)) / 1000)

    async def counted(self, user_id: UUID, event_id: UUID) -> list[UUID]:
        """The bookings that count, in no order; some may have ended, and Redis has not been updated."""
        found: set[bytes] = set()
        for key in _keys(user_id, event_id):
            found.update(cast("list[bytes]", await self._redis.zrange(key, 0, -1)))
        return [UUID(booking.decode()) for booking in found]

    async def let_go(self, user_id: UUID, event_id: UUID, booking_id: UUID) -> None:
        """Record that the hold ended unpaid; it still counts as a hold that was made."""
        await self._forget(_keys(user_id, event_id)[:1], booking_id)

    async def forget(self, user_id: UUID, event_id: UUID, booking_id: UUID) -> None:
        """Record that the booking is paid, or was never held: it does not count any more."""
        await self._forget(_keys(user_id, event_id), booking_id)

    async def _forget(self, keys: list[str], booking_id: UUID) -> None:
        # The limits of the process that counted may differ from those here, so they decide nothing. The command is done
        # in any case. A count that stays expires by itself.
        with suppress(RedisError, OSError):
            for key in keys:
                await self._redis.zrem(key, str(booking_id))


def _keys(user_id: UUID, event_id: UUID) -> list[str]:
    prefix = f"seatwright:hoarding:{{{user_id}/{event_id}}}"
    return [f"{prefix}:live", f"{prefix}:made"]
