"""Offers: an event's sections and prices, from the copy of the published event."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Executable, Row, Uuid, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db import gates
from db.reservation.tables import EventRow, SectionRow
from domain.problems import ProblemType, Refused
from domain.seats import SeatName


class Sale(NamedTuple):
    """An event's sections by name, the length of its holds, its start, and the database's clock (UTC).

    Attributes:
        providers: The payment providers that the event admits; None for any.
    """

    hold_seconds: int
    currency: str
    sections: dict[str, Row[Any]]
    starts_at: datetime
    now: datetime
    providers: Sequence[str] | None = None


_SALE_COLUMNS = (EventRow.hold_seconds, EventRow.currency, EventRow.providers, EventRow.starts_at)
_BEGUN_SALE = (
    select(*_SALE_COLUMNS, func.now().label("now"), SectionRow)
    .join(SectionRow, SectionRow.event_id == EventRow.id)
    .where(EventRow.id == bindparam("event_id"), EventRow.status == "on_sale")
)
_SALE = _BEGUN_SALE.where(EventRow.starts_at > func.now())
GATE = gates.passed(bindparam("event_id", type_=Uuid))
"""A condition of statements that lock the row of `event_id` for a sale: it waits for a cancellation that came first."""

_LOCKED_SALE = _SALE.where(GATE).with_for_update(read=True, of=EventRow)
_LOCKED_BEGUN_SALE = _BEGUN_SALE.where(GATE).with_for_update(read=True, of=EventRow)


async def find_sale(connection: AsyncConnection, event_id: UUID, *, lock: bool = False) -> Sale:
    """The offer of an event; with `lock` the event cannot be cancelled before this transaction ends.

    Raises:
        Refused: The event is not on sale, or no longer.
    """
    return await _read(connection, _LOCKED_SALE if lock else _SALE, event_id)


async def lock_begun_sale(connection: AsyncConnection, event_id: UUID) -> Sale:
    """The offer for what a buyer began before the event did; it cannot be cancelled before this transaction ends.

    Raises:
        Refused: The event is cancelled.
    """
    return await _read(connection, _LOCKED_BEGUN_SALE, event_id)


async def wait_for_sales(connection: AsyncConnection, event_id: UUID) -> None:
    """Wait for the transactions that sell places of an event; later ones wait for the end of this one."""
    await gates.close(connection, event_id)


async def _read(connection: AsyncConnection, statement: Executable, event_id: UUID) -> Sale:
    rows: list[Any] = list(await connection.execute(statement, {"event_id": event_id}))
    if not rows:
        raise not_on_sale(event_id)
    first = rows[0]
    sections = {row.name: row for row in rows}
    return Sale(first.hold_seconds, first.currency, sections, first.starts_at, first.now, first.providers)


async def starts_at(connection: AsyncConnection, event_id: UUID) -> datetime:
    """The start of an event that was on sale at some time (UTC)."""
    return (await connection.execute(select(EventRow.starts_at).where(EventRow.id == event_id))).scalar_one()


def not_on_sale(event_id: UUID) -> Refused:
    """The refusal of an event that is not on sale, or no longer."""
    return Refused(ProblemType.EVENT_NOT_ON_SALE, "The event is not on sale.", event_id=str(event_id))


def price_of(sections: dict[str, Row[Any]], seats: Sequence[str], quantities: dict[str, int]) -> int:
    """The price of the places together, in minor units.

    Raises:
        Refused: The event has no such seat or section.
    """
    unknown = [name for name in seats if not _has_seat(sections, SeatName.parse(name))]
    unknown += [name for name in quantities if name not in sections or sections[name].kind != "general"]
    if unknown:
        raise Refused(ProblemType.UNKNOWN_SEATS, f"The event has no such places: {', '.join(unknown)}.", seats=unknown)
    seated = sum(sections[SeatName.parse(name).section].price for name in seats)
    return int(seated + sum(sections[name].price * quantity for name, quantity in quantities.items()))


def _has_seat(sections: dict[str, Row[Any]], seat: SeatName) -> bool:
    section = sections.get(seat.section)
    return bool(
        section and section.kind == "seated" and seat.row <= section.rows and seat.number <= section.seats_per_row
    )
