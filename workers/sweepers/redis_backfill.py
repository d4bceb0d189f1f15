"""Sends Redis the ends of bookings that it missed while it was down, so that freed places go on sale again."""

from __future__ import annotations

from activities.reservation.bookings import ReservationActivities
from workers.sweepers.loop import keep_sweeping

_EVERY = (3.0, 6.0)  # seconds


async def keep_backfilling_redis(reservation: ReservationActivities) -> None:
    """Send pending updates every 3 to 6 seconds, until cancelled."""
    await keep_sweeping(reservation.send_pending_redis_updates, _EVERY, interrupted="redis_backfill_interrupted")
