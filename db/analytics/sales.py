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
    """Add the extra charge for a more expensive seat; the difference to a cheaper one counts when it is refunded."""
    if exchange.amount:
        await _add(connection, exchange, day, bookings=0, tickets=0, revenue=exchange.amount)


async def _add(connection: AsyncConnection, sold: BookingConfirmed | TicketExchanged, day: date, **totals: int) -> None:
    for table, key in ((SalesRow, {}), (DailySalesRow, {"day": day})):
        statement = insert(table).values(event_id=sold.event_id, currency=sold.currency, **key, **totals)
        added = {name: getattr(table, name) + statement.excluded[name] for name in totals}
        await connection.execute(statement.on_conflict_do_update(constraint=f"{table.__tablename__}_pkey", set_=added))


async def count_refund(connection: AsyncConnection, refund: BookingMoneyReturned, day: date) -> None:
    """Subtract a refund from its event's totals; a booking is subtracted when all its tickets are refunded.

    A booking's refunds follow its confirmation on the same partition, so the totals contain the booking.
    """
    await _take_out(connection, refund, gone=int(isinstance(refund, BookingRefunded)), sign=1)
    totals = {"refunds": 1, "tickets": refund.tickets, "amount": refund.amount}
    statement = insert(DailyRefundsRow).values(event_id=refund.event_id, currency=refund.currency, day=day, **totals)
    added = {name: getattr(DailyRefundsRow, name) + statement.excluded[name] for name in totals}
    await connection.execute(statement.on_conflict_do_update(constraint="daily_refunds_pkey", set_=added))


async def uncount_refund(connection: AsyncConnection, refund: BookingRefundTakenBack) -> None:
    """Undo `count_refund`, on the day of the refund. The refund is counted again when it is paid."""
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
