"""The requests behind bookings, rebuilt from their rows to start lost workflows again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import BindParameter, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, EventRow
from domain.bookings import Booking, BookingRequest, BookingStatus

_UNFINISHED = (BookingStatus.HELD, BookingStatus.PAYING, BookingStatus.ACTION_REQUIRED, BookingStatus.NEEDS_ATTENTION)

# The statuses are in the text, so that Postgres uses the partial index of unfinished bookings.
_HELD_PLACES = text(
    """
    SELECT coalesce(sum(
        cardinality(seats) + (SELECT coalesce(sum(value::integer), 0) FROM jsonb_each_text(quantities))
    ), 0)::bigint
    FROM bookings WHERE status IN ('held', 'paying', 'action_required')
    """
)


async def find_unfinished(connection: AsyncConnection, *, overdue: timedelta, limit: int) -> list[BookingRequest]:
    """Requests of bookings that have not ended although their hold ended at least `overdue` ago, in random order.

    The order is random, so that many bookings that wait for an operator do not hide the others behind `limit`.

    A booking with a payment under way may be among them. The policy is the default: only the workflow knows its own.
    """
    # In the text and not as parameters: only then does Postgres use the partial index.
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
    """The request behind a booking, with the default policy, and whether its hold ended more than `grace` ago."""
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


async def digest_of(connection: AsyncConnection, booking_id: UUID) -> str:
    """The digest of the request that made a booking."""
    digest = select(BookingRow.body_sha256).where(BookingRow.id == booking_id)
    return (await connection.execute(digest)).scalar_one()


async def count_held_places(connection: AsyncConnection) -> int:
    """How many places the bookings have whose buyers may still pay."""
    return int((await connection.execute(_HELD_PLACES)).scalar_one())


async def count_parked(connection: AsyncConnection) -> int:
    """How many bookings wait for an operator."""
    parked = select(func.count()).where(BookingRow.status == str(BookingStatus.NEEDS_ATTENTION))
    return (await connection.execute(parked)).scalar_one()
