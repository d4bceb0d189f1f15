"""Statements of the analytics service: the inbox, and the projections behind it."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.analytics.tables import DailyRefundsRow, DailySalesRow, EventRow, InboxRow, SalesRow
from domain.domain_events import (
    BookingConfirmed,
    BookingMoneyReturned,
    BookingRefunded,
    EventCancelled,
    EventPublished,
    TicketExchanged,
)


async def is_new(connection: AsyncConnection, consumer: str, domain_event_id: UUID) -> bool:
    """Note a domain event in the inbox; False if it was there, and its effect with it."""
    statement = insert(InboxRow).values(consumer=consumer, domain_event_id=domain_event_id).on_conflict_do_nothing()
    return (await connection.execute(statement.returning(InboxRow.domain_event_id))).first() is not None


async def count_booking(connection: AsyncConnection, booking: BookingConfirmed, day: date) -> None:
    """Add a confirmed booking to its event's totals."""
    await _add(connection, booking, day, bookings=1, tickets=len(booking.tickets), revenue=booking.amount)


async def count_exchange(connection: AsyncConnection, exchange: TicketExchanged, day: date) -> None:
    """Add what was paid for a dearer seat; what a cheaper one leaves is counted when it has gone back."""
    if exchange.amount:
        await _add(connection, exchange, day, bookings=0, tickets=0, revenue=exchange.amount)


async def _add(connection: AsyncConnection, sold: BookingConfirmed | TicketExchanged, day: date, **totals: int) -> None:
    for table, key in ((SalesRow, {}), (DailySalesRow, {"day": day})):
        statement = insert(table).values(event_id=sold.event_id, currency=sold.currency, **key, **totals)
        added = {name: getattr(table, name) + statement.excluded[name] for name in totals}
        await connection.execute(statement.on_conflict_do_update(constraint=f"{table.__tablename__}_pkey", set_=added))


async def count_refund(connection: AsyncConnection, refund: BookingMoneyReturned, day: date) -> None:
    """Take what went back out of its event's totals; a booking is gone from them when all its tickets are.

    A booking's refunds are told after its confirmation, on the same partition, so there is something to take out of.
    """
    gone = int(isinstance(refund, BookingRefunded))
    await connection.execute(
        update(SalesRow)
        .where(SalesRow.event_id == refund.event_id, SalesRow.currency == refund.currency)
        .values(
            bookings=SalesRow.bookings - gone,
            tickets=SalesRow.tickets - refund.tickets,
            revenue=SalesRow.revenue - refund.amount,
        )
    )
    totals = {"refunds": 1, "tickets": refund.tickets, "amount": refund.amount}
    statement = insert(DailyRefundsRow).values(event_id=refund.event_id, currency=refund.currency, day=day, **totals)
    added = {name: getattr(DailyRefundsRow, name) + statement.excluded[name] for name in totals}
    await connection.execute(statement.on_conflict_do_update(constraint="daily_refunds_pkey", set_=added))


async def note_published(connection: AsyncConnection, event: EventPublished) -> None:
    """Know what an event is, unless a newer version is known."""
    known = {"organizer_id": event.organizer_id, "name": event.name, "starts_at": event.starts_at}
    statement = insert(EventRow).values(id=event.event_id, version=event.version, **known)
    newer = EventRow.version < statement.excluded.version
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_={"version": event.version, **known}, where=newer)
    )


async def note_cancelled(connection: AsyncConnection, event: EventCancelled) -> None:
    """Know that an event was called off, for good, whether or not it is known what it is."""
    statement = insert(EventRow).values(id=event.event_id, cancelled=True)
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"cancelled": True}))
