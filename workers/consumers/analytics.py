"""Counts sales: each confirmed booking, exchange and refund once, even if it is delivered more often."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.kafka.cloud_events import CloudEvent
from config.settings import Settings
from db.analytics import sales
from db.engine import open_engine
from domain.domain_events import (
    BookingConfirmed,
    BookingMoneyReturned,
    BookingRefundTakenBack,
    EventCancelled,
    EventPublished,
    TicketExchanged,
)
from workers.consumers.runner import Subscription

GROUP = "analytics"
_TYPES = (
    BookingConfirmed | BookingMoneyReturned | BookingRefundTakenBack | TicketExchanged | EventPublished | EventCancelled
)


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
                case BookingConfirmed() as booking:
                    await sales.count_booking(connection, booking, event.time.date())
                case BookingMoneyReturned() as refund:
                    await sales.count_refund(connection, refund, event.time.date())
                case BookingRefundTakenBack() as failed:
                    await sales.uncount_refund(connection, failed)
                case TicketExchanged() as exchange:
                    await sales.count_exchange(connection, exchange, event.time.date())
                case EventPublished() as published:
                    await sales.note_published(connection, published)
                case EventCancelled() as cancelled:
                    await sales.note_cancelled(connection, cancelled)
