"""Where the audit looks, and how much of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import Row, TextClause
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.sandbox_ledger import SandboxLedger
from config.settings import Settings
from db.engine import open_engine
from temporal.connection import connect
from temporal.search_attributes import BOOKING


class Finding(NamedTuple):
    """A broken invariant.

    Attributes:
        subject: The booking's id, or what else it is about.
    """

    invariant: str
    subject: str
    detail: str


class Sources(NamedTuple):
    """Attributes: event_id: look at one event's bookings only; None for all."""

    reservation: AsyncEngine
    payment: AsyncEngine
    redis: Redis
    temporal: Client
    provider: SandboxLedger
    event_id: UUID | None

    async def rows(self, statement: TextClause) -> list[Row[Any]]:
        """Rows of the reservation database; a statement may use `:event_id`, which is null for all events."""
        async with self.reservation.connect() as connection:
            return list(await connection.execute(statement, {"event_id": self.event_id}))

    async def running_sagas(self) -> set[str]:
        """The bookings whose saga is alive, or their refund's."""
        query = "WorkflowType IN ('Booking', 'Refund') AND ExecutionStatus = 'Running'"
        if self.event_id:
            query += f" AND SeatwrightEvent = '{self.event_id}'"
        found = self.temporal.list_workflows(query, page_size=1000)
        return {str(saga.typed_search_attributes.get(BOOKING)) async for saga in found}


@asynccontextmanager
async def open_sources(settings: Settings, event_id: UUID | None) -> AsyncIterator[Sources]:
    """Connections for one audit."""
    reservation = open_engine(settings.database_url("reservation"), pool_size=2)
    payment = open_engine(settings.database_url("payment"), pool_size=2)
    redis = Redis.from_url(settings.redis_url.get_secret_value(), socket_connect_timeout=2, decode_responses=True)
    provider = SandboxLedger(settings.sandbox_url)
    try:
        yield Sources(reservation, payment, redis, await connect(settings), provider, event_id)
    finally:
        await provider.close()
        await redis.aclose()
        await payment.dispose()
        await reservation.dispose()
