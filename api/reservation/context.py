"""What the reservation service's routes and commands work with."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Annotated, Final, NamedTuple

from fastapi import Depends
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.internal.personal_data import PersonalDataClient
from adapters.redis.availability import SeatAvailability
from adapters.redis.charge_quota import ChargeQuota
from adapters.redis.hold_quota import HoldCaps, HoldQuota
from adapters.redis.return_pauses import ReturnPauses
from adapters.redis.seat_locks import SeatLocks
from api.auth.audit import AuditRecorder, Recorder
from api.http.resources import Open, ReservationDatabase, Temporal
from api.reservation.seat_answers import SeatAnswers
from config.settings import Settings


class Seats(NamedTuple):
    """What Redis knows of seats and of the buyers who hold and pay for them, and kept answers; one for each process."""

    locks: SeatLocks
    availability: SeatAvailability
    hold_quota: HoldQuota
    charge_quota: ChargeQuota
    return_pauses: ReturnPauses
    answers: SeatAnswers


async def open_seats(settings: Settings, redis: Redis, stack: AsyncExitStack) -> Seats:
    """For the reservation service's processes."""
    return Seats(
        SeatLocks(redis),
        SeatAvailability(redis),
        HoldQuota(redis, _hold_caps(settings)),
        ChargeQuota(redis, settings.charges_of_booking, settings.charges_of_card),
        ReturnPauses(redis),
        SeatAnswers(),
    )


def _hold_caps(settings: Settings) -> HoldCaps:
    return HoldCaps(
        live=settings.live_holds,
        unproven_live=settings.unproven_live_holds,
        unpaid=settings.unpaid_holds,
        address_places=settings.address_places,
        unproven_address_places=settings.unproven_address_places,
        unproven_event_percent=settings.unproven_event_percent,
        payment=timedelta(seconds=settings.payment_window) + _LONGEST_UNDO,
        undecided=timedelta(seconds=settings.hold_wait) + MAX_DELAY + _LONGEST_NOTICE,
    )


MAX_DELAY: Final = timedelta(seconds=20)
"""A hold that Temporal delivers later than this after its caller has stopped waiting is not made."""

_LONGEST_NOTICE: Final = timedelta(seconds=30)
"""How much later a worker has recorded that it made a hold, also if it died in between."""

_LONGEST_UNDO: Final = timedelta(minutes=5)
"""How much longer than its window a payment may keep the seats, while its provider is asked again and again."""


class ReservationContext(NamedTuple):
    """Serves one request."""

    settings: Settings
    engine: AsyncEngine
    locks: SeatLocks
    hold_quota: HoldQuota
    charge_quota: ChargeQuota
    return_pauses: ReturnPauses
    temporal: Client
    recorder: AuditRecorder
    personal_data: PersonalDataClient


async def _context(
    opened: Open, engine: ReservationDatabase, temporal: Temporal, recorder: Recorder
) -> ReservationContext:
    seats = opened.part(Seats)
    return ReservationContext(
        opened.settings,
        engine,
        seats.locks,
        seats.hold_quota,
        seats.charge_quota,
        seats.return_pauses,
        temporal,
        recorder,
        opened.part(PersonalDataClient),
    )


Reservation = Annotated[ReservationContext, Depends(_context)]
