"""Limits how many payments of one booking, or with one card, may fail, so that a thief cannot test stolen cards.

The counts are in Redis alone. While Redis is down nothing is refused.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

_SCRIPT: Final = (Path(__file__).parent / "lua" / "charge_quota.lua").read_text()
_WINDOW: Final = timedelta(minutes=15)


class Charge(NamedTuple):
    """One try to charge a buyer.

    Attributes:
        id: The same for each repetition of the call, and for no other booking's.
        booking_id: The booking that is paid, or one of whose seats is exchanged.
        card: The provider's token for the card; None if the buyer chooses on the provider's page.
    """

    id: str
    booking_id: UUID
    provider: str
    card: str | None


class ChargeQuota:
    """Admits or refuses tries.

    Args:
        by_booking: Tries without success to charge one booking in 15 minutes; 0 means no limit.
        by_card: The same for one card.
    """

    def __init__(self, redis: Redis, by_booking: int, by_card: int) -> None:
        self._redis = redis
        self._by_booking = by_booking
        self._by_card = by_card
        self._count = redis.register_script(_SCRIPT)

    async def admit(self, charge: Charge) -> int:
        """Count one more try, or refuse it; a repetition is counted once.

        Returns:
            Seconds after which to try again; 0 if admitted.
        """
        with suppress(RedisError, OSError):
            counted_now: list[str] = []
            for key, most in self._caps(charge):
                window = int(_WINDOW.total_seconds() * 1000)
                wait = int(await self._count(keys=[key], args=[charge.id, most, window]))
                if wait > 0:
                    # An earlier call with this key, perhaps with another card, may have counted elsewhere and charged.
                    for other in counted_now:
                        await self._redis.zrem(other, charge.id)
                    return math.ceil(wait / 1000)
                if wait < 0:
                    counted_now.append(key)
        return 0

    async def forget(self, charge: Charge) -> None:
        """Record that the try was a success, or that nothing was tried: it does not count any more."""
        with suppress(RedisError, OSError):
            for key, _ in self._caps(charge):
                await self._redis.zrem(key, charge.id)

    def _caps(self, charge: Charge) -> list[tuple[str, int]]:
        caps = [(f"seatwright:charges:booking:{charge.booking_id}", self._by_booking)]
        if charge.card:
            card = sha256(f"{charge.provider}:{charge.card}".encode()).hexdigest()
            caps.append((f"seatwright:charges:card:{card}", self._by_card))
        return [(key, most) for key, most in caps if most]
