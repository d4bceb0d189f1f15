"""What the reservation service's routes and commands work with."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.redis.hold_quota import HoldQuota
from adapters.redis.seat_locks import SeatLocks
from api.auth.audit import AuditRecorder
from api.http.resources import Open, ReservationDatabase
from config.settings import Settings


class ReservationContext(NamedTuple):
    """Serves one request."""

    settings: Settings
    engine: AsyncEngine
    locks: SeatLocks
    hold_quota: HoldQuota
    temporal: Client
    recorder: AuditRecorder


async def _context(request: Request, opened: Open, engine: ReservationDatabase) -> ReservationContext:
    recorder = AuditRecorder(opened.audit_log_client, request)
    return ReservationContext(opened.settings, engine, opened.locks, opened.hold_quota, opened.temporal, recorder)


Reservation = Annotated[ReservationContext, Depends(_context)]
