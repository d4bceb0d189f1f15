"""The requests that made bookings, read back from their rows for whoever has to hand them in again."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import BindParameter, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, EventRow
from domain.bookings import Booking, BookingRequest, BookingStatus

_UNFINISHED = (BookingStatus.HELD, BookingStatus.PAYING, BookingStatus.ACTION_REQUIRED, BookingStatus.NEEDS_ATTENTION)


async def find_unfinished(connection: AsyncConnection, *, overdue: timedelta, limit: int) -> list[BookingRequest]:
    """Requests of bookings whose hold ended `overdue` ago or earlier and that have not ended, in no order.

    At random, so that many which live and cannot end (parked ones) do not hide the others behind `limit`.

    A payment that is rightly under way may be among them. The policy is the default one: the one that each started with
    is known to its workflow alone.
    """
    # In the statement's text, not as parameters: only so is it certain that the partial index has them all.
    chosen: BindParameter[str] = bindparam("statuses", [*map(str, _UNFINISHED)], expanding=True, literal_execute=True)
    rows = await connection.execute(
        select(BookingRow, EventRow.hold_seconds)
        .join(EventRow, EventRow.id == BookingRow.event_id)
        .where(BookingRow.status.in_(chosen), BookingRow.expires_at <= func.now() - overdue)
        .order_by(func.random())
        .limit(limit)
    )
    columns = BookingRequest.model_fields.keys() - {"policy", "not_after"}
    return [BookingRequest(**{name: getattr(row, name) for name in columns}) for row in rows]


async def request_of(connection: AsyncConnection, booking: Booking, *, grace: timedelta) -> tuple[BookingRequest, bool]:
    """The request that made a booking, with the default policy, and whether its hold ended more than `grace` ago."""
    overdue = (BookingRow.expires_at + grace < func.now()).label("overdue")
    found = await connection.execute(
        select(BookingRow.body_sha256, BookingRow.accept_alternatives, EventRow.hold_seconds, overdue)
        .join(EventRow, EventRow.id == BookingRow.event_id)
        .where(BookingRow.id == booking.id)
    )
    row = found.one()
    asked = booking.model_dump(include={"id", "user_id", "event_id", "seats", "quantities"})
    kept = {name: getattr(row, name) for name in ("body_sha256", "accept_alternatives", "hold_seconds")}
    return BookingRequest(**asked, **kept), row.overdue


async def count_parked(connection: AsyncConnection) -> int:
    """How many bookings wait for an operator."""
    parked = select(func.count()).where(BookingRow.status == str(BookingStatus.NEEDS_ATTENTION))
    return (await connection.execute(parked)).scalar_one()
