"""The past: a user's bookings, and the domain events of a booking."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Date, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, DomainEventRow, EventRow
from domain.bookings import BookingStatus
from domain.problems import other_list
from domain.time_zones import DEFAULT

MOST_EVENTS: Final = 500


@dataclass(frozen=True)
class Wanted:
    """Which of a user's bookings are wanted; by default all.

    Attributes:
        statuses: Any of these states; empty for every state.
        starts_from: The event begins on this day of its venue's clock, or later.
        starts_until: The event begins on this day of its venue's clock, or earlier.
    """

    statuses: Collection[BookingStatus] = ()
    starts_from: date | None = None
    starts_until: date | None = None


async def of_user(
    connection: AsyncConnection, user_id: UUID, wanted: Wanted, *, after: UUID | None, limit: int
) -> list[UUID]:
    """A page of a user's bookings, newest first, beginning after a booking of an earlier page.

    Raises:
        Refused: INVALID_REQUEST: The user has no such booking.
    """
    page = select(BookingRow.id).join(EventRow, EventRow.id == BookingRow.event_id).where(BookingRow.user_id == user_id)
    if wanted.statuses:
        page = page.where(BookingRow.status.in_(wanted.statuses))
    day = cast(func.timezone(func.coalesce(EventRow.timezone, DEFAULT), EventRow.starts_at), Date)
    if wanted.starts_from:
        page = page.where(day >= wanted.starts_from)
    if wanted.starts_until:
        page = page.where(day <= wanted.starts_until)
    if after:
        last = select(BookingRow.created_at, BookingRow.id).where(BookingRow.id == after, BookingRow.user_id == user_id)
        if (await connection.execute(last)).first() is None:
            raise other_list()
        page = page.where(tuple_(BookingRow.created_at, BookingRow.id) < last.scalar_subquery())
    rows = await connection.execute(page.order_by(BookingRow.created_at.desc(), BookingRow.id.desc()).limit(limit))
    return list(rows.scalars())


async def domain_events(connection: AsyncConnection, booking_id: UUID) -> list[dict[str, Any]]:
    """The newest domain events of a booking, in order: exchanges that fail are limited by time alone."""
    rows = await connection.execute(
        select(DomainEventRow.sequence, DomainEventRow.type, DomainEventRow.data, DomainEventRow.occurred_at)
        .where(DomainEventRow.aggregate_id == booking_id)
        .order_by(DomainEventRow.sequence.desc())
        .limit(MOST_EVENTS)
    )
    return [dict(row._mapping) for row in rows][::-1]
