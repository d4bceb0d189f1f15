"""Statements of the analytics service: the inbox, and the projections behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.analytics.tables import DailyRefundsRow, DailySalesRow, EventRow, InboxRow, SalesRow
from domain.domain_events import (
    BookingConfirmed,
    BookingMoneyReturned,
    BookingRefunded,
    BookingRefundTakenBack,
    EventCancelled,
    EventPublished,
    TicketExchanged,
)


async def is_new(connection: AsyncConnection, consumer: str, domain_event_id: UUID) -> bool:
    """Note a domain event in the inbox; False if it was there, and its effect with it."""
    statement = insert(InboxRow).values(consumer=consumer, domain_event_id=domain_event_id).on_conflict_do_nothing()
    return (await connection.execute(statement.returning(InboxRow.domain_event_id))).first() is not None


class Figures(NamedTuple):
    """A row of figures: those of an event in all, or of one day (UTC)."""

    table: type[SalesRow | DailySalesRow | DailyRefundsRow]
    event_id: UUID
    currency: str
    day: date | None = None

    @property
    def key(self) -> dict[str, Any]:
        """The row's primary key."""
        return {"event_id": self.event_id, "currency": self.currency} | ({"day": self.day} if self.day else {})


Changes = Mapping[Figures, Mapping[str, int]]
Sale = BookingConfirmed | TicketExchanged | BookingMoneyReturned | BookingRefundTakenBack


def changes_of(sale: Sale, day: date) -> Changes:
    """What a domain event adds to the figures, by their columns; less than 0 where it takes something out.

    A booking's refunds follow its confirmation on the same partition, so the totals contain the booking.
    """
    total = Figures(SalesRow, sale.event_id, sale.currency)
    match sale:
        case BookingConfirmed():
            sold = {"bookings": 1, "tickets": len(sale.tickets), "revenue": sale.amount}
            return {total: sold, Figures(DailySalesRow, sale.event_id, sale.currency, day): sold}
        case TicketExchanged():
            # The extra charge for a more expensive seat; the difference to a cheaper one counts when it is refunded.
            sold = {"bookings": 0, "tickets": 0, "revenue": sale.amount}
            return {total: sold, Figures(DailySalesRow, sale.event_id, sale.currency, day): sold} if sale.amount else {}
        case BookingMoneyReturned():
            gone = int(isinstance(sale, BookingRefunded))  # when all its tickets are refunded
            return _refund(sale, day, gone=gone, sign=1)
        case BookingRefundTakenBack():
            # On the day of the refund. The refund is counted again when it is paid.
            return _refund(sale, sale.returned_at.astimezone(UTC).date(), gone=int(sale.was_refunded), sign=-1)


def _refund(sale: BookingMoneyReturned | BookingRefundTakenBack, day: date, *, gone: int, sign: int) -> Changes:
    total = Figures(SalesRow, sale.event_id, sale.currency)
    of_day = Figures(DailyRefundsRow, sale.event_id, sale.currency, day)
    return {
        total: {"bookings": -sign * gone, "tickets": -sign * sale.tickets, "revenue": -sign * sale.amount},
        of_day: {"refunds": sign, "tickets": sign * sale.tickets, "amount": sign * sale.amount},
    }


async def add(connection: AsyncConnection, changes: Changes) -> None:
    """Add what one domain event changes."""
    for figures, added in changes.items():
        table, key = figures.table, figures.key
        if min(added.values()) < 0:  # the row is there, and an insert of less than 0 is refused even so
            sums = {name: getattr(table, name) + value for name, value in added.items()}
            await connection.execute(update(table).filter_by(**key).values(sums))
        else:
            statement = insert(table).values(**key, **added)
            sums = {name: getattr(table, name) + statement.excluded[name] for name in added}
            constraint = f"{table.__tablename__}_pkey"
            await connection.execute(statement.on_conflict_do_update(constraint=constraint, set_=sums))


async def lock(connection: AsyncConnection) -> None:
    """Keep the figures and the inbox for this transaction alone: readers see the old ones, and consumers wait."""
    await connection.execute(text("LOCK TABLE inbox, sales, daily_sales, daily_refunds IN EXCLUSIVE MODE"))


async def note_all(connection: AsyncConnection, consumer: str, domain_event_ids: Sequence[UUID]) -> None:
    """Note domain events in the inbox, unless they are there."""
    await connection.execute(_NOTE_ALL, {"consumer": consumer, "ids": list(domain_event_ids)})


_NOTE_ALL = text(
    """
    INSERT INTO inbox (consumer, domain_event_id) SELECT :consumer, unnest(CAST(:ids AS uuid[])) ON CONFLICT DO NOTHING
    """
)


async def replace_all(connection: AsyncConnection, figures: Changes) -> None:
    """Replace all figures by these."""
    for table in (SalesRow, DailySalesRow, DailyRefundsRow):
        await connection.execute(delete(table))
        rows = [{**row.key, **sums} for row, sums in figures.items() if row.table is table]
        if rows:
            await connection.execute(insert(table), rows)


async def note_published(connection: AsyncConnection, event: EventPublished) -> None:
    """Keep an event's data, unless a newer version is there."""
    known = {"organizer_id": event.organizer_id, "name": event.name, "starts_at": event.starts_at}
    statement = insert(EventRow).values(id=event.event_id, version=event.version, **known)
    newer = EventRow.version < statement.excluded.version
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_={"version": event.version, **known}, where=newer)
    )


async def note_cancelled(connection: AsyncConnection, event: EventCancelled) -> None:
    """Mark an event as cancelled for good, even if its data has not arrived."""
    statement = insert(EventRow).values(id=event.event_id, cancelled=True)
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"cancelled": True}))
