"""Events in Postgres: drafted, published, cancelled; each change with its version and domain event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.catalogue.tables import EventRow, SectionRow
from db.outbox import append
from domain.catalogue import Event, EventChange, EventPlan, EventStatus, Section
from domain.domain_events import EventCancelled, EventPublished, Venue
from domain.exchanges import ExchangePolicy
from domain.problems import ProblemType, Refused
from domain.refunds import RefundPolicy

MOST_SECTIONS: Final = 50_000
"""Of all events of an organizer that have not begun or are new: so many rows are counted in some 10 milliseconds."""

_NEW: Final = timedelta(days=30)
_WAIT_BRIEFLY = text("SET LOCAL lock_timeout = '200ms'")
_ONE_DRAFT_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('places of ' || :organizer, 0))")


async def draft(
    connection: AsyncConnection, event_id: UUID, organizer_id: UUID, plan: EventPlan, *, most_places: int = 0
) -> Event:
    """Add an event that only its organizer can see.

    Args:
        connection: In a transaction.
        event_id: Of the new event.
        organizer_id: Whose it is.
        plan: What it is.
        most_places: Of all events of the organizer that have not begun or are new; 0 for any number.

    Raises:
        Refused: As `check_draft`.
        OperationalError: Other drafts of the organizer are under way. A connection that waits longer would be missed by
            those who look at events.
    """
    if most_places:
        await connection.execute(_WAIT_BRIEFLY)
        await connection.execute(_ONE_DRAFT_AT_A_TIME, {"organizer": str(organizer_id)})
    await check_draft(connection, organizer_id, plan, most_places=most_places)
    made = await connection.execute(
        insert(EventRow).values(id=event_id, organizer_id=organizer_id, **_columns(plan)).returning(EventRow)
    )
    row = made.one()
    await connection.execute(
        insert(SectionRow),
        [{"event_id": row.id, "position": n, **section.model_dump()} for n, section in enumerate(plan.sections)],
    )
    return _event(row, plan.sections)


async def check_draft(
    connection: AsyncConnection, organizer_id: UUID, plan: EventPlan, *, most_places: int = 0
) -> None:
    """Whether a draft would be taken, as far as the drafts that are under way allow it.

    Raises:
        Refused: It would begin in the past, or the organizer's events would have too many places or sections.
    """
    if await _has_begun(connection, plan.starts_at):
        raise Refused(
            ProblemType.INVALID_REQUEST,
            "An event has to begin in the future.",
            errors=[{"field": "body.starts_at", "message": "must be in the future"}],
        )
    if most_places:
        await _check_places(connection, organizer_id, plan, most_places)


async def _check_places(connection: AsyncConnection, organizer_id: UUID, plan: EventPlan, most: int) -> None:
    """Cancelled events count, because what was published of them stays in the inventory.

    So do the events of the last days, because one may begin a minute after its draft.
    """
    counts = or_(EventRow.starts_at > func.now(), EventRow.created_at > func.now() - _NEW)
    found = await connection.execute(
        select(func.coalesce(func.sum(SectionRow.capacity), 0).label("places"), func.count().label("sections"))
        .join(EventRow)
        .where(EventRow.organizer_id == organizer_id, counts)
    )
    taken = found.one()
    places = sum(section.capacity for section in plan.sections)
    for name, so_many, more, limit in (
        ("places", taken.places, places, most), ("sections", taken.sections, len(plan.sections), MOST_SECTIONS)
    ):  # fmt: skip
        if so_many + more > limit:
            raise Refused(
                ProblemType.WRONG_STATE,
                f"All events of an organizer that have not begun or are new may have {limit} {name} together, and yours"
                f" have {so_many}, cancelled events included. An event is new for {_NEW.days} days.",
            )


async def find(connection: AsyncConnection, event_id: UUID) -> Event | None:
    """The event in any state, drafts included; None if there is none."""
    row = (await connection.execute(select(EventRow).where(EventRow.id == event_id))).one_or_none()
    return _event(row, await _sections(connection, event_id)) if row else None


async def check_publishable(connection: AsyncConnection, event: Event) -> None:
    """Raise Refused if the event is cancelled, or is a draft whose start has passed."""
    if event.status is EventStatus.CANCELLED:
        raise Refused(ProblemType.WRONG_STATE, "The event is cancelled.")
    if event.status is EventStatus.DRAFT and await _has_begun(connection, event.starts_at):
        raise Refused(ProblemType.WRONG_STATE, "The event has begun.")


async def mark_published(connection: AsyncConnection, change: EventChange) -> EventStatus:
    """Publish a draft that is still at the version of the change; any other event keeps its status.

    Returns:
        The status afterwards.
    """
    event_id = change.event_id
    published = await connection.execute(
        update(EventRow)
        .where(*_still_at(change), EventRow.status == EventStatus.DRAFT)
        .values(status=EventStatus.PUBLISHED, version=EventRow.version + 1, published_at=func.now())
        .returning(EventRow)
    )
    row = published.one_or_none()
    if row is None:
        return await _status(connection, event_id)
    await append(connection, event_id, _published(_event(row, await _sections(connection, event_id))))
    return EventStatus.PUBLISHED


async def mark_cancelled(connection: AsyncConnection, change: EventChange) -> EventStatus:
    """Cancel an event that is still at the version of the change, once; any other event keeps its status.

    Returns:
        The status afterwards.
    """
    event_id = change.event_id
    cancelled = await connection.execute(
        update(EventRow)
        .where(*_still_at(change), EventRow.status != EventStatus.CANCELLED)
        .values(status=EventStatus.CANCELLED, version=EventRow.version + 1)
        .returning(EventRow.version)
    )
    version = cancelled.scalar_one_or_none()
    if version is None:
        return await _status(connection, event_id)
    await append(connection, event_id, EventCancelled(event_id=event_id, version=version))
    return EventStatus.CANCELLED


def _still_at(change: EventChange) -> list[ColumnElement[bool]]:
    """The row to change, which the statement locks: no other change comes between the comparison and the change."""
    found = EventRow.id == change.event_id
    return [found] if change.if_version is None else [found, EventRow.version == change.if_version]


async def _has_begun(connection: AsyncConnection, starts_at: datetime) -> bool:
    return starts_at <= (await connection.execute(select(func.now()))).scalar_one()


async def _status(connection: AsyncConnection, event_id: UUID) -> EventStatus:
    found = await connection.execute(select(EventRow.status).where(EventRow.id == event_id))
    return EventStatus(found.scalar_one())


async def _sections(connection: AsyncConnection, event_id: UUID) -> Sequence[Section]:
    rows = await connection.execute(
        select(SectionRow).where(SectionRow.event_id == event_id).order_by(SectionRow.position)
    )
    return [Section.model_validate(row._asdict()) for row in rows]


def _columns(plan: EventPlan) -> dict[str, Any]:
    venue = {f"venue_{key}": value for key, value in plan.venue.model_dump().items()}
    refunds = {f"refund_{key}": value for key, value in plan.refund_policy.model_dump().items()}
    exchanges = {"exchange_until_hours": plan.exchange_policy.until_hours}
    as_they_are = plan.model_dump(exclude={"venue", "sections", "refund_policy", "exchange_policy"})
    return as_they_are | venue | refunds | exchanges


def _event(row: Row[Any], sections: Sequence[Section]) -> Event:
    venue = Venue(
        name=row.venue_name,
        city=row.venue_city,
        country=row.venue_country,
        latitude=row.venue_latitude,
        longitude=row.venue_longitude,
    )
    return Event(
        id=row.id,
        organizer_id=row.organizer_id,
        status=EventStatus(row.status),
        version=row.version,
        was_published=row.published_at is not None,
        name=row.name,
        category=row.category,
        venue=venue,
        starts_at=row.starts_at,
        timezone=row.timezone,
        currency=row.currency,
        hold_seconds=row.hold_seconds,
        refund_policy=RefundPolicy(
            until_hours=row.refund_until_hours, fee_percent=row.refund_fee_percent, fee_fixed=row.refund_fee_fixed
        ),
        exchange_policy=ExchangePolicy(until_hours=row.exchange_until_hours),
        providers=None if row.providers is None else tuple(row.providers),
        sections=tuple(sections),
    )


def _published(event: Event) -> EventPublished:
    return EventPublished(
        event_id=event.id,
        version=event.version,
        organizer_id=event.organizer_id,
        name=event.name,
        category=event.category,
        venue=event.venue,
        starts_at=event.starts_at,
        timezone=event.timezone,
        currency=event.currency,
        sections=tuple(section.on_sale() for section in event.sections),
    )
