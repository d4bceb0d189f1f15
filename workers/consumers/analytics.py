"""Counts sales: each confirmed booking, exchange and refund once, even if it is delivered more often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.kafka.cloud_events import CloudEvent
from config.settings import Settings
from db.analytics import sales
from db.analytics.sales import Sale
from db.engine import open_engine
from domain.domain_events import BookingConfirmed, EventCancelled, EventPublished
from workers.consumers.runner import Subscription

GROUP = "analytics"
_TYPES = Sale | EventPublished | EventCancelled


@asynccontextmanager
async def subscription(settings: Settings) -> AsyncIterator[Subscription]:
    """The consumer with its database."""
    engine = open_engine(settings.database_url("analytics"))
    try:
        yield Subscription(GROUP, (BookingConfirmed.topic, EventPublished.topic), Analytics(engine).handle)
    finally:
        await engine.dispose()


class Analytics:
    """Keeps the projections; the inbox has the events that are already counted."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def handle(self, event: CloudEvent) -> None:
        """Count one domain event; a second delivery, or a type that has no sales in it, changes nothing."""
        if not isinstance(event.data, _TYPES):
            return
        async with self._engine.begin() as connection:
            if not await sales.is_new(connection, GROUP, event.id):
                return
            match event.data:
                case EventPublished() as published:
                    await sales.note_published(connection, published)
                case EventCancelled() as cancelled:
                    await sales.note_cancelled(connection, cancelled)
                case sale:
                    await sales.add(connection, sales.changes_of(sale, event.time.date()))
