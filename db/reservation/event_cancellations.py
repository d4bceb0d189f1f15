"""The bookings of cancelled events in Postgres: the open ones, page by page, and the progress."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import BookingRow, CancellationRow, EventRow, ExchangeRow
from domain.bookings import BookingStatus
from domain.event_cancellations import Cancellation, Estimate, OpenBooking, Progress, Stranded
from domain.exchanges import LIVE

_STRANDED_SHOWN = 1000

_OPEN = (
    BookingStatus.HELD,
    BookingStatus.PAYING,
    BookingStatus.ACTION_REQUIRED,
    BookingStatus.NEEDS_ATTENTION,
    BookingStatus.CONFIRMED,
    BookingStatus.PARTIALLY_REFUNDED,
)


async def begin(connection: AsyncConnection, event_id: UUID, requested_by: UUID) -> bool:
    """Record that an event's cancellation is under way. Starting it again resumes a paused one.

    Returns:
        Whether it waits for an operator since an earlier start.
    """
    made = insert(CancellationRow).values(event_id=event_id, requested_by=requested_by)
    again = {"paused": False, "over_at": None}
    begun = made.on_conflict_do_update(index_elements=["event_id"], set_=again)
    return (await connection.execute(begun.returning(CancellationRow.needs_attention))).scalar_one()


async def note_paused(connection: AsyncConnection, event_id: UUID, paused: bool) -> None:
    """Record whether an operator has paused the cancellation, or lets it continue."""
    await connection.execute(update(CancellationRow).where(CancellationRow.event_id == event_id).values(paused=paused))


async def flag(connection: AsyncConnection, event_id: UUID, needs_attention: bool) -> None:
    """Record whether the cancellation waits for an operator."""
    flagged = update(CancellationRow).where(CancellationRow.event_id == event_id)
    await connection.execute(flagged.values(needs_attention=needs_attention))


async def count_parked(connection: AsyncConnection) -> int:
    """How many cancellations wait for an operator."""
    waiting = select(func.count()).select_from(CancellationRow).where(CancellationRow.needs_attention)
    return (await connection.execute(waiting)).scalar_one()


async def finish(connection: AsyncConnection, event_id: UUID, report: Progress) -> None:
    """Store the final report; the first one stays, even if operators act later."""
    of_event = update(CancellationRow).where(CancellationRow.event_id == event_id)
    await connection.execute(
        of_event.where(CancellationRow.finished_at.is_(None)).values(
            finished_at=func.now(), report=report.model_dump(mode="json"), paused=False
        )
    )
    if report.is_over:
        await connection.execute(of_event.where(CancellationRow.over_at.is_(None)).values(over_at=func.now()))


class UnderWay(NamedTuple):
    """A cancellation that is not over."""

    event_id: UUID
    requested_by: UUID
    paused: bool
    needs_attention: bool


async def find_under_way(connection: AsyncConnection, *, older: timedelta, limit: int) -> list[UnderWay]:
    """Cancellations that are not over and started at least `older` ago, in random order."""
    rows = await connection.execute(
        select(
            CancellationRow.event_id,
            CancellationRow.requested_by,
            CancellationRow.paused,
            CancellationRow.needs_attention,
        )
        .where(CancellationRow.over_at.is_(None), CancellationRow.started_at <= func.now() - older)
        .order_by(func.random())
        .limit(limit)
    )
    return [UnderWay(*row) for row in rows]


async def page(connection: AsyncConnection, event_id: UUID, *, after: UUID | None, limit: int) -> list[OpenBooking]:
    """The next open bookings by id, without those whose exchange waits for an operator."""
    under_way = (ExchangeRow.booking_id == BookingRow.id) & ExchangeRow.state.in_(LIVE)
    chosen = (
        select(BookingRow.id, BookingRow.status, ExchangeRow.id.label("exchange_id"))
        .outerjoin(ExchangeRow, under_way)
        .where(BookingRow.event_id == event_id, BookingRow.status.in_(_OPEN))
        .where(ExchangeRow.needs_attention.is_not(True))
    )
    if after:
        chosen = chosen.where(BookingRow.id > after)
    rows = await connection.execute(chosen.order_by(BookingRow.id).limit(limit))
    return [OpenBooking(**row._mapping) for row in rows]


_IN_FLIGHT = "b.status IN ('held', 'paying', 'action_required', 'needs_attention')"

_ESTIMATE = text(
    f"""
    WITH RECURSIVE exchanged AS (  -- each exchange on the way to a ticket that is valid
        SELECT e.booking_id, e.ticket, e.fee FROM exchanges e JOIN bookings b ON b.id = e.booking_id
        JOIN tickets t ON t.id = e.new_ticket
        WHERE b.event_id = :event_id AND t.status = 'valid'
        UNION ALL
        SELECT e.booking_id, e.ticket, e.fee FROM exchanged
        JOIN exchanges e ON e.booking_id = exchanged.booking_id AND e.new_ticket = exchanged.ticket
    ), kept AS (SELECT booking_id, sum(fee) AS fees FROM exchanged GROUP BY booking_id)
    SELECT count(*) FILTER (WHERE {_IN_FLIGHT}) AS in_flight, count(paid.price) AS to_refund,
           -- least() ignores nulls: without the filter it counts bookings that were never paid.
           coalesce(sum(least(paid.price + coalesce(kept.fees, 0), b.amount - b.refunded))
                    FILTER (WHERE paid.price IS NOT NULL), 0) AS amount,
           (SELECT currency FROM events WHERE id = :event_id) AS currency
    FROM bookings b LEFT JOIN LATERAL (
        SELECT sum(s.price) AS price FROM tickets t
        JOIN sections s ON s.event_id = t.event_id AND s.name = t.section
        WHERE t.booking_id = b.id AND t.status = 'valid'
          AND b.status IN ('confirmed', 'refunding', 'partially_refunded')
    ) paid ON true LEFT JOIN kept ON kept.booking_id = b.id
    WHERE b.event_id = :event_id
    """
)


async def estimate(connection: AsyncConnection, event_id: UUID) -> Estimate:
    """The effects that cancelling would have at this moment; nothing is changed."""
    row = (await connection.execute(_ESTIMATE, {"event_id": event_id})).one()
    return Estimate(
        bookings_in_flight=row.in_flight,
        bookings_to_refund=row.to_refund,
        amount=int(row.amount),
        currency=row.currency,
    )


# A buyer's own refund may be under way for some tickets of a booking: the others wait until it ends.
_TO_REFUND = """
    b.status IN ('confirmed', 'partially_refunded') OR b.status = 'refunding' AND EXISTS (
        SELECT FROM tickets t WHERE t.booking_id = b.id AND t.status = 'valid')
"""
_BLOCKED = """(
    EXISTS (SELECT FROM exchanges e WHERE e.booking_id = b.id AND e.needs_attention)
    OR EXISTS (SELECT FROM refunds r WHERE r.booking_id = b.id AND r.state = 'needs_attention')
)"""
_BOOKINGS = text(
    f"""
    SELECT count(*) FILTER (WHERE {_IN_FLIGHT}) AS in_flight, count(*) FILTER (WHERE {_TO_REFUND}) AS to_refund,
           count(*) FILTER (WHERE ({_TO_REFUND}) AND {_BLOCKED}) AS blocked
    FROM bookings b WHERE b.event_id = :event_id
    """
)
_REFUNDS = text(
    """
    SELECT count(*) FILTER (WHERE r.state = 'pending') AS refunding,
           count(*) FILTER (WHERE r.state = 'succeeded') AS refunded,
           coalesce(sum(r.amount) FILTER (WHERE r.state = 'succeeded'), 0)::bigint AS amount
    FROM refunds r JOIN bookings b ON b.id = r.booking_id
    WHERE b.event_id = :event_id AND r.cause = 'event_cancelled'
    """
)
_STRANDED = text(
    """
    SELECT refund_id, exchange_id, booking_id, amount, count(*) OVER () AS failed FROM (
        SELECT r.id AS refund_id, NULL::uuid AS exchange_id, r.booking_id, r.amount
        FROM refunds r JOIN bookings b ON b.id = r.booking_id
        WHERE b.event_id = :event_id AND r.state = 'needs_attention'
        UNION ALL
        SELECT NULL, e.id, e.booking_id, abs(e.difference) FROM exchanges e JOIN bookings b ON b.id = e.booking_id
        WHERE b.event_id = :event_id AND e.needs_attention
    ) stranded ORDER BY refund_id, exchange_id LIMIT :limit
    """
)


async def progress(connection: AsyncConnection, event_id: UUID) -> Progress:
    """The current progress."""
    bookings = (await connection.execute(_BOOKINGS, {"event_id": event_id})).one()
    refunds = (await connection.execute(_REFUNDS, {"event_id": event_id})).one()
    stranded = (await connection.execute(_STRANDED, {"event_id": event_id, "limit": _STRANDED_SHOWN})).all()
    return Progress(
        in_flight=bookings.in_flight,
        to_refund=bookings.to_refund,
        blocked=bookings.blocked,
        refunding=refunds.refunding,
        refunded=refunds.refunded,
        amount=int(refunds.amount),
        failed=stranded[0].failed if stranded else 0,
        stranded=tuple(Stranded(**row._mapping) for row in stranded),
    )


async def find(connection: AsyncConnection, event_id: UUID) -> tuple[Cancellation, UUID] | None:
    """The cancellation and the event's organizer; None if the event was not cancelled."""
    chosen = select(CancellationRow, EventRow.organizer_id).join(EventRow, EventRow.id == CancellationRow.event_id)
    row = (await connection.execute(chosen.where(CancellationRow.event_id == event_id))).one_or_none()
    return (await _cancellation(connection, row), row.organizer_id) if row else None


async def _cancellation(connection: AsyncConnection, row: Row[*tuple[Any, ...]]) -> Cancellation:
    return Cancellation(
        event_id=row.event_id,
        requested_by=row.requested_by,
        started_at=row.started_at,
        paused=row.paused,
        needs_attention=row.needs_attention,
        finished_at=row.finished_at,
        report=Progress.model_validate(row.report) if row.report else None,
        progress=await progress(connection, row.event_id),
    )
