"""Inventory in Postgres: the copy of a published event, and the state of its places."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.offers import wait_for_sales
from db.reservation.tables import EventRow, SeatRow, SectionRow
from domain.catalogue import Event, Section
from domain.problems import ProblemType, Refused


@dataclass(frozen=True, slots=True)
class SectionStock:
    """A section and its taken places: their number (`claimed`), or each taken seat's status by name."""

    section: Section
    claimed: int
    taken: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stock:
    """All places of an event at one moment."""

    event_id: UUID
    status: str
    currency: str
    sections: Sequence[SectionStock]


_SEATS = text(
    """
    INSERT INTO seats (event_id, name, section)
    SELECT :event_id, :section || '-' || r || '-' || n, :section
    FROM generate_series(1, CAST(:rows AS integer)) AS r, generate_series(1, CAST(:seats_per_row AS integer)) AS n
    """
)


async def put_on_sale(connection: AsyncConnection, event: Event, *, amount_step: int = 1) -> None:
    """Copy an event with all its places; an existing copy, on sale or stopped, stays unchanged.

    Args:
        connection: In a transaction of the reservation service's database.
        event: The published event.
        amount_step: Its payment providers refund only multiples of it (minor units).

    Raises:
        Refused: WRONG_STATE: It has begun, perhaps while the copy waited in a queue, and there is no copy yet.
    """
    made = await connection.execute(
        insert(EventRow)
        .values(**_event_columns(event), amount_step=amount_step, status="on_sale")
        .on_conflict_do_nothing()
        .returning(EventRow.starts_at > func.clock_timestamp())
    )
    is_to_come = made.scalar_one_or_none()
    if is_to_come is None:
        return
    if not is_to_come:
        raise Refused(ProblemType.WRONG_STATE, "The event has begun.")
    await connection.execute(
        insert(SectionRow),
        [{"event_id": event.id, "position": n, **section.model_dump()} for n, section in enumerate(event.sections)],
    )
    for section in event.sections:
        if section.kind == "seated":
            await connection.execute(
                _SEATS,
                {
                    "event_id": event.id,
                    "section": section.name,
                    "rows": section.rows,
                    "seats_per_row": section.seats_per_row,
                },
            )


async def without_venue(connection: AsyncConnection) -> Sequence[UUID]:
    """The events that were copied before their venue and time zone were part of the copy."""
    found = select(EventRow.id).where(EventRow.timezone.is_(None)).order_by(EventRow.id)
    return (await connection.execute(found)).scalars().all()


async def copy_venue(connection: AsyncConnection, event: Event) -> None:
    """Add the venue and the time zone to the copy of an event; nothing else of it changes."""
    columns = _event_columns(event)
    venue = {name: columns[name] for name in ("timezone", "venue_name", "venue_city", "venue_country")}
    await wait_for_sales(connection, event.id)
    await connection.execute(update(EventRow).where(EventRow.id == event.id).values(venue))


async def with_the_finest_step(
    connection: AsyncConnection, currencies: Collection[str]
) -> Sequence[tuple[UUID, str, list[str] | None]]:
    """The events in these currencies whose step is 1: id, currency and admitted providers."""
    finest = select(EventRow.id, EventRow.currency, EventRow.providers).where(EventRow.amount_step == 1)
    found = await connection.execute(finest.where(EventRow.currency.in_(currencies)))
    return [(row.id, row.currency, row.providers) for row in found]


async def set_amount_step(connection: AsyncConnection, event_id: UUID, step: int) -> None:
    """Set the step of what an event's providers can refund; nothing else of it changes."""
    await wait_for_sales(connection, event_id)
    await connection.execute(update(EventRow).where(EventRow.id == event_id).values(amount_step=step))


async def stop_selling(connection: AsyncConnection, event: Event) -> None:
    """Stop the sale of an event. An unknown event is recorded too, so that no later copy puts it on sale."""
    await wait_for_sales(connection, event.id)
    await connection.execute(
        insert(EventRow)
        .values(**_event_columns(event), status="cancelled")
        .on_conflict_do_update(index_elements=[EventRow.id], set_={"status": "cancelled"})
    )


async def stock(connection: AsyncConnection, event_id: UUID) -> Stock | None:
    """The state of an event's places; None if it was never on sale."""
    event = (await connection.execute(select(EventRow).where(EventRow.id == event_id))).one_or_none()
    in_order = select(SectionRow).where(SectionRow.event_id == event_id).order_by(SectionRow.position, SectionRow.name)
    sections = (await connection.execute(in_order)).all()
    if event is None or not sections:
        return None
    taken = await _taken(connection, event_id)
    return Stock(
        event_id,
        event.status,
        event.currency,
        [SectionStock(Section.model_validate(row._asdict()), row.claimed, taken.get(row.name, {})) for row in sections],
    )


async def _taken(connection: AsyncConnection, event_id: UUID) -> Mapping[str, Mapping[str, str]]:
    """By section, the seats that are not available. They have their own index.

    Their names come as one text: a row for each of 100,000 seats would hold the event loop for a tenth of a second.
    """
    names = func.string_agg(SeatRow.name, "\n").label("names")
    rows = await connection.execute(
        select(SeatRow.section, SeatRow.status, names)
        .where(SeatRow.event_id == event_id, SeatRow.status != "available")
        .group_by(SeatRow.section, SeatRow.status)
    )
    taken: dict[str, dict[str, str]] = {}
    for row in rows:
        taken.setdefault(row.section, {}).update(dict.fromkeys(row.names.split("\n"), row.status))
    return taken


def _event_columns(event: Event) -> dict[str, Any]:
    copied = event.model_dump(
        include={"id", "organizer_id", "name", "starts_at", "timezone", "currency", "hold_seconds", "providers"}
    )
    refunds = {f"refund_{key}": value for key, value in event.refund_policy.model_dump().items()}
    venue = {f"venue_{key}": getattr(event.venue, key) for key in ("name", "city", "country")}
    return copied | venue | refunds | {"exchange_until_hours": event.exchange_policy.until_hours}
