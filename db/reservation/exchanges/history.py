"""Reads exchanges: for buyers, for refunds, and to start lost workflows again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, ExchangeRow
from domain.exchanges import LIVE, MOST_SHOWN, Exchange, ExchangeRequest, ExchangeState


async def of_booking(connection: AsyncConnection, booking_id: UUID) -> list[Exchange]:
    """A booking's newest exchanges, oldest first."""
    newest = select(ExchangeRow).where(ExchangeRow.booking_id == booking_id).order_by(ExchangeRow.created_at.desc())
    rows = (await connection.execute(newest.limit(MOST_SHOWN))).all()
    return [Exchange(**{name: getattr(row, name) for name in Exchange.model_fields}) for row in reversed(rows)]


async def kept_for(connection: AsyncConnection, booking_id: UUID) -> dict[UUID, int]:
    """Minor units that a booking's completed exchanges have kept on the way to a ticket, by the latest ticket."""
    completed = select(ExchangeRow.ticket, ExchangeRow.new_ticket, ExchangeRow.fee).where(
        ExchangeRow.booking_id == booking_id, ExchangeRow.state == ExchangeState.COMPLETED
    )
    kept: dict[UUID, int] = {}
    for row in await connection.execute(completed.order_by(ExchangeRow.created_at)):
        assert row.new_ticket
        kept[row.new_ticket] = kept.pop(row.ticket, 0) + row.fee
    return kept


async def digest_of(connection: AsyncConnection, exchange_id: UUID) -> str:
    """The digest of the request behind an exchange."""
    found = await connection.execute(select(ExchangeRow.body_sha256).where(ExchangeRow.id == exchange_id))
    return found.scalar_one()


async def find_unfinished(
    connection: AsyncConnection, *, older: timedelta, limit: int, window: timedelta, attempts: int
) -> list[ExchangeRequest]:
    """Requests of exchanges that are under way and began at least `older` ago, in random order.

    Only their workflows know the payment.
    """
    rows = await connection.execute(
        select(ExchangeRow, BookingRow.event_id)
        .join(BookingRow, BookingRow.id == ExchangeRow.booking_id)
        .where(ExchangeRow.state.in_(LIVE), ExchangeRow.created_at <= func.now() - older)
        .order_by(func.random())
        .limit(limit)
    )
    names = ("id", "booking_id", "event_id", "requested_by", "ticket", "seat", "body_sha256")
    return [
        ExchangeRequest(
            **{name: getattr(row, name) for name in names},
            payment=None,
            deadline=row.created_at,
            window=window,
            attempts=attempts,
        )
        for row in rows
    ]


async def count_parked(connection: AsyncConnection) -> int:
    """How many exchanges wait for an operator."""
    return (await connection.execute(select(func.count()).where(ExchangeRow.needs_attention))).scalar_one()
