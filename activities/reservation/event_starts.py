"""When events begin, on which the ends of their keys in Redis depend."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import autocommit
from db.reservation import offers

_MOST = 10_000


class EventStarts:
    """Reads each event's start once, because it does not change after the publication."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._found: dict[UUID, datetime] = {}

    async def of(self, event_id: UUID) -> datetime:
        """The start of an event that was on sale at some time (UTC)."""
        if event_id not in self._found:
            if len(self._found) >= _MOST:
                self._found.clear()
            async with autocommit(self._engine) as connection:
                self._found[event_id] = await offers.starts_at(connection, event_id)
        return self._found[event_id]
