"""The event of a booking, as messages name it: from the copy of the published event."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import EventRow
from domain.domain_events import EventSummary
from domain.time_zones import DEFAULT

_EVENT = select(
    EventRow.name, EventRow.starts_at, EventRow.timezone, EventRow.venue_name, EventRow.venue_city, EventRow.status
).where(EventRow.id == bindparam("event_id"))


async def summary_of(connection: AsyncConnection, event_id: UUID) -> EventSummary:
    """The event with its venue and clock."""
    return _summary((await connection.execute(_EVENT, {"event_id": event_id})).one())


async def ending_of(connection: AsyncConnection, event_id: UUID) -> tuple[EventSummary, str]:
    """The event, and why a booking of it is cancelled now: `event_cancelled`, or `buyer`."""
    event: Any = (await connection.execute(_EVENT, {"event_id": event_id})).one()
    return _summary(event), "event_cancelled" if event.status == "cancelled" else "buyer"


def _summary(event: Any) -> EventSummary:
    return EventSummary(
        name=event.name,
        starts_at=event.starts_at,
        timezone=event.timezone or DEFAULT,
        venue=event.venue_name,
        city=event.venue_city,
    )
