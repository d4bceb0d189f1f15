"""Sends Redis the ends of bookings that it missed while it was down, so that freed places go on sale again."""

from __future__ import annotations

import asyncio
import random

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from activities.reservation.bookings import ReservationActivities

_EVERY = (3.0, 6.0)  # seconds

log = structlog.get_logger()


async def keep_backfilling_redis(reservation: ReservationActivities) -> None:
    """Send pending updates every 3 to 6 seconds, until cancelled."""
    while True:
        try:
            await reservation.send_pending_redis_updates()
        except (RedisError, SQLAlchemyError, OSError) as error:
            log.warning("redis_backfill_interrupted", error=type(error).__name__)
        await asyncio.sleep(random.uniform(*_EVERY))
