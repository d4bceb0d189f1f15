"""Statements of the analytics service: the inbox, and the projections behind it."""

from __future__ import annotations

from datetime import UTC, date
from uuid import UUID

from sqlalchemy import update
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
    await _take_out(connection, refund, gone=int(isinstance(refund, BookingRefunded)), sign=1)
    totals = {"refunds": 1, "tickets": refund.tickets, "amount": refund.amount}
    statement = insert(DailyRefundsRow).values(event_id=refund.event_id, currency=refund.currency, day=day, **totals)
    added = {name: getattr(DailyRefundsRow, name) + statement.excluded[name] for name in totals}
    await connection.execute(statement.on_conflict_do_update(constraint="daily_refunds_pkey", set_=added))


async def uncount_refund(connection: AsyncConnection, refund: BookingRefundTakenBack) -> None:
    """Undo what `count_refund` did, on the day on which it was told; it is counted again when it has gone back."""
    await _take_out(connection, refund, gone=int(refund.was_refunded), sign=-1)
    await connection.execute(
        update(DailyRefundsRow)
        .where(DailyRefundsRow.event_id == refund.event_id, DailyRefundsRow.currency == refund.currency)
        .where(DailyRefundsRow.day == refund.returned_at.astimezone(UTC).date())
        .values(
            refunds=DailyRefundsRow.refunds - 1,
            tickets=DailyRefundsRow.tickets - refund.tickets,
            amount=DailyRefundsRow.amount - refund.amount,
        )
    )


async def _take_out(
    connection: AsyncConnection, refund: BookingMoneyReturned | BookingRefundTakenBack, *, gone: int, sign: int
) -> None:
    await connection.execute(
        update(SalesRow)
        .where(SalesRow.event_id == refund.event_id, SalesRow.currency == refund.currency)
        .values(
            bookings=SalesRow.bookings - sign * gone,
            tickets=SalesRow.tickets - sign * refund.tickets,
            revenue=SalesRow.revenue - sign * refund.amount,
        )
    )


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
