"""How a booking's saga ends in Postgres: confirmed with its tickets, or released with the reason."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation import event_summaries
from db.reservation.bookings.bookings import StaleStep, identity, move, release
from db.reservation.tables import BookingRow
from db.reservation.tickets import issue
from domain.bookings import Booking, BookingStatus
from domain.domain_events import BookingCancelled, BookingConfirmed, BookingEvent, BookingExpired, BookingFailed
from domain.problems import Problem, ProblemType


class TicketsForbidden(Exception):
    """The booking's money is being returned: tickets can no longer be issued."""


async def confirm(connection: AsyncConnection, booking: Booking) -> Booking:
    """Issue one ticket for each place and confirm the booking; repeated, no change.

    Raises:
        StaleStep: As for `move`.
        TicketsForbidden: Its money is being returned.
    """
    event = await event_summaries.summary_of(connection, booking.event_id)
    tickets = await issue(connection, booking)

    def confirmed(now: Booking) -> BookingConfirmed:
        return BookingConfirmed(
            **identity(now),
            event_name=event.name,
            starts_at=event.starts_at,
            event=event,
            amount=now.amount,
            currency=now.currency,
            tickets=tickets,
        )

    try:
        moved = await move(connection, booking.id, version=booking.version, to=BookingStatus.CONFIRMED, tells=confirmed)
    except StaleStep as stale:
        barred = select(BookingRow.tickets_forbidden)
        if await connection.scalar(barred.where(BookingRow.id == booking.id, BookingRow.version == booking.version)):
            raise TicketsForbidden(f"the money of booking {booking.id} is being returned") from stale
        raise
    return moved.model_copy(update={"tickets": tickets})


async def end(
    connection: AsyncConnection,
    booking: Booking,
    to: BookingStatus,
    *,
    reason: ProblemType | None = None,
    problem: Problem | None = None,
) -> Booking:
    """Give the places back and end the booking, with its outcome event; repeated, no change.

    Args:
        connection: In a transaction of the reservation service's database.
        booking: The booking from which the step starts.
        to: How it ends.
        reason: Why, for a booking that failed.
        problem: Why the payment failed, for the buyer to read.

    Raises:
        StaleStep: As for `move`.
    """
    event, cause = await event_summaries.ending_of(connection, booking.event_id)
    ends_now = False

    def outcome(now: Booking) -> BookingEvent:
        nonlocal ends_now
        ends_now = True
        if to is BookingStatus.CANCELLED:
            return BookingCancelled(**identity(now), cause=cause, event=event)
        if to is BookingStatus.EXPIRED:
            return BookingExpired(**identity(now))
        return BookingFailed(**identity(now), reason=reason or ProblemType.INTERNAL, event=event)

    ended = await move(connection, booking.id, version=booking.version, to=to, tells=outcome, problem=problem)
    if ends_now:  # an earlier try has given the places back: if it has any now, it was reinstated since then
        await release(connection, booking.id)
    return ended
