"""What the reservation service's routes and commands work with."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, NamedTuple

from fastapi import Depends
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.redis.availability import SeatAvailability
from adapters.redis.hold_quota import HoldQuota
from adapters.redis.return_pauses import ReturnPauses
from adapters.redis.seat_locks import SeatLocks
from api.auth.audit import AuditRecorder, Recorder
from api.http.resources import Open, ReservationDatabase, Temporal
from api.reservation.seat_answers import SeatAnswers
from config.settings import Settings


class Seats(NamedTuple):
    """What Redis knows of seats and of the buyers who hold them, and answers that are kept; one for each process."""

    locks: SeatLocks
    availability: SeatAvailability
    hold_quota: HoldQuota
    return_pauses: ReturnPauses
    answers: SeatAnswers


async def open_seats(settings: Settings, redis: Redis, stack: AsyncExitStack) -> Seats:
    """For the reservation service's processes."""
    quota = HoldQuota(redis, settings.live_holds, settings.unpaid_holds)
    return Seats(SeatLocks(redis), SeatAvailability(redis), quota, ReturnPauses(redis), SeatAnswers())


class ReservationContext(NamedTuple):
    """Serves one request."""

    settings: Settings
    engine: AsyncEngine
    locks: SeatLocks
    hold_quota: HoldQuota
    return_pauses: ReturnPauses
    temporal: Client
    recorder: AuditRecorder


async def _context(
    opened: Open, engine: ReservationDatabase, temporal: Temporal, recorder: Recorder
) -> ReservationContext:
    seats = opened.part(Seats)
    return ReservationContext(
        opened.settings, engine, seats.locks, seats.hold_quota, seats.return_pauses, temporal, recorder
    )


Reservation = Annotated[ReservationContext, Depends(_context)]
