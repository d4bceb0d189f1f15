"""Keeps the search index in step with the catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.elasticsearch import EventSearch
from adapters.kafka.cloud_events import CloudEvent
from config.settings import Settings
from domain.domain_events import EventCancelled, EventPublished
from workers.consumers.runner import Subscription

GROUP = "search"


@asynccontextmanager
async def subscription(settings: Settings) -> AsyncIterator[Subscription]:
    """The consumer with its index."""
    events = EventSearch(settings.elasticsearch_url)
    try:
        yield Subscription(GROUP, (EventPublished.topic,), Indexer(events).handle)
    finally:
        await events.close()


class Indexer:
    """Writes documents by the event's version, so that repetition and reordering are harmless."""

    def __init__(self, events: EventSearch) -> None:
        self._events = events

    async def handle(self, event: CloudEvent) -> None:
        """Write one change of an event to the index; other domain events are ignored."""
        match event.data:
            case EventPublished() as published:
                await self._events.put(published)
            case EventCancelled() as cancelled:
                await self._events.mark_cancelled(cancelled.event_id, cancelled.version)
            case _:
                pass
