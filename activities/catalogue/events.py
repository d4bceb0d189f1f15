"""The catalogue's steps of a publication: they read an event, and record its publication."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from db.catalogue import events
from domain.catalogue import Event, EventChange, EventStatus
from domain.problems import ProblemType, Refused


class CatalogueActivities:
    """Steps in the catalogue's database; each may be repeated."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @activity.defn
    async def read_event(self, event_id: UUID) -> Event:
        """The event in its current state.

        Raises:
            Refused: NOT_FOUND: there is no such event.
        """
        async with self._engine.connect() as connection:
            event = await events.find(connection, event_id)
        if event is None:
            raise Refused(ProblemType.NOT_FOUND, "There is no such event.")
        return event

    @activity.defn
    async def mark_published(self, change: EventChange) -> EventStatus:
        """Publish a draft; any other event, or version of it, keeps its status. Returns the status afterwards."""
        async with self._engine.begin() as connection:
            return await events.mark_published(connection, change)

    @activity.defn
    async def mark_cancelled(self, change: EventChange) -> EventStatus:
        """Cancel an event, once; another version of it keeps its status. Returns the status afterwards."""
        async with self._engine.begin() as connection:
            return await events.mark_cancelled(connection, change)
