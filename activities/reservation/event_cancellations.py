"""The reservation service's steps of an event's cancellation: what is open, page by page, and what became of it."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from db.reservation import event_cancellations
from domain.event_cancellations import Estimate, OpenBooking, Progress


class Begun(BaseModel):
    """Attributes: requested_by: who cancelled the event."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    requested_by: UUID


class Page(BaseModel):
    """Attributes: after: the last booking of the page before; limit: bookings of this one at most."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    after: UUID | None
    limit: int


class Pause(BaseModel):
    """Attributes: paused: whether no more refunds are begun for now."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    paused: bool


class Attention(BaseModel):
    """Attributes: needs_attention: whether the cancellation waits for an operator."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    needs_attention: bool


class Finished(BaseModel):
    """Attributes: report: how it ended."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    report: Progress


class CancellationActivities:
    """Steps in the reservation service's database; each may be repeated."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @activity.defn
    async def begin_cancellation(self, order: Begun) -> bool:
        """Record that the event's cancellation is under way. Beginning it again resumes a paused one.

        Returns:
            Whether it waits for an operator since an earlier beginning.
        """
        async with self._engine.begin() as connection:
            return await event_cancellations.begin(connection, order.event_id, order.requested_by)

    @activity.defn
    async def open_bookings(self, page: Page) -> list[OpenBooking]:
        """The next open bookings by id, without those whose exchange waits for an operator."""
        async with self._engine.connect() as connection:
            return await event_cancellations.page(connection, page.event_id, after=page.after, limit=page.limit)

    @activity.defn
    async def note_paused(self, order: Pause) -> None:
        """Record whether the cancellation is paused, so that operators see it and a restarted run knows it."""
        async with self._engine.begin() as connection:
            await event_cancellations.note_paused(connection, order.event_id, order.paused)

    @activity.defn
    async def flag_cancellation(self, order: Attention) -> None:
        """Record whether the cancellation waits for an operator, so that the metric and the API say so."""
        async with self._engine.begin() as connection:
            await event_cancellations.flag(connection, order.event_id, order.needs_attention)

    @activity.defn
    async def cancellation_progress(self, event_id: UUID) -> Progress:
        """The current counts of open, refunded and blocked bookings."""
        async with self._engine.connect() as connection:
            return await event_cancellations.progress(connection, event_id)

    @activity.defn
    async def finish_cancellation(self, order: Finished) -> None:
        """Store the final report; the first one stays, even if operators act later."""
        async with self._engine.begin() as connection:
            await event_cancellations.finish(connection, order.event_id, order.report)

    @activity.defn
    async def estimate_cancellation(self, event_id: UUID) -> Estimate:
        """The effects that cancelling would have at this moment; nothing is changed."""
        async with self._engine.connect() as connection:
            return await event_cancellations.estimate(connection, event_id)
