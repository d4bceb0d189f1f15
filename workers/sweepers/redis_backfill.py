"""Tells Redis, once it is back, of the ends that it missed: places that were freed meanwhile go on sale again."""

from __future__ import annotations

import asyncio
import random

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from activities.reservation.bookings import ReservationActivities

_EVERY = (3.0, 6.0)  # seconds

log = structlog.get_logger()


async def keep_catching_up(reservation: ReservationActivities) -> None:
    """Look again and again, until cancelled."""
    while True:
        try:
            await reservation.send_pending_redis_updates()
        except (RedisError, SQLAlchemyError, OSError) as error:
            log.warning("redis_not_told_yet", error=type(error).__name__)
        await asyncio.sleep(random.uniform(*_EVERY))
