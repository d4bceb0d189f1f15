"""A booking, its refunds and its exchanges as they are now, for those who may see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import Depends

from adapters.internal.personal_data import Purpose
from api.auth.guards import BookingReader, Buyer
from api.auth.tokens import Principal
from api.http.deadlines import with_deadline
from api.http.sagas import after_order, unknown
from api.reservation.booking_saga import about
from api.reservation.context import Reservation, ReservationContext
from db.engine import autocommit
from db.reservation.bookings import bookings, facts, history
from db.reservation.exchanges import exchanges
from db.reservation.exchanges import history as exchange_history
from db.reservation.refunds import refunds
from domain.booking_details import BookingDetails, BookingFacts, describe
from domain.bookings import Booking
from domain.exchanges import Exchange
from domain.identity import Role
from domain.problems import ProblemType, Refused
from domain.refunds import Refund

STAFF = frozenset({Role.SUPPORT, Role.OPERATOR})

log = structlog.get_logger()


async def find_booking(context: ReservationContext, booking_id: UUID) -> Booking | None:
    """A booking of any buyer.

    Raises:
        TimeoutError: The database does not answer in time.
    """

    async def find() -> Booking | None:
        async with autocommit(context.engine) as connection:
            return await bookings.find(connection, booking_id)

    return await with_deadline(find())


async def require_booking(context: ReservationContext, booking_id: UUID) -> Booking:
    """A booking of any buyer.

    Raises:
        Refused: NOT_FOUND: There is no such booking.
    """
    booking = await find_booking(context, booking_id)
    if booking is None:
        raise no_such_booking()
    return booking


async def current_booking(context: ReservationContext, booking_id: UUID) -> Booking:
    """The booking after a command was sent.

    Raises:
        Refused: OUTCOME_UNKNOWN: It cannot be read.
    """
    with after_order(about(booking_id)):
        booking = await find_booking(context, booking_id)
    if booking is None:
        raise unknown(about(booking_id))
    return booking


async def own_booking(user: Principal, context: ReservationContext, booking_id: UUID) -> Booking:
    """The user's own booking.

    Raises:
        Refused: NOT_FOUND: There is none, or it belongs to another buyer.
    """
    return require_own(user, await find_booking(context, booking_id))


def require_own(user: Principal, booking: Booking | None) -> Booking:
    """The booking, if it is the user's own; raises as `own_booking` does."""
    if booking is None or booking.user_id != user.user_id:
        raise no_such_booking()
    return booking


def no_such_booking() -> Refused:
    """The answer to an unknown booking, and to one of another buyer."""
    return Refused(ProblemType.NOT_FOUND, "There is no such booking.")


async def _own(booking_id: UUID, user: Buyer, context: Reservation) -> Booking:
    return await own_booking(user, context, booking_id)


async def _readable(booking_id: UUID, user: BookingReader, context: Reservation) -> Booking:
    booking = await find_booking(context, booking_id)
    if booking is None or not (booking.user_id == user.user_id or user.roles & STAFF):
        raise no_such_booking()
    if booking.user_id != user.user_id:
        await context.recorder.record(user, "booking.looked-at", f"booking/{booking_id}")
    return booking


OwnBooking = Annotated[Booking, Depends(_own)]
"""The buyer's own booking; a booking of another buyer is answered as if it did not exist."""

ReadableBooking = Annotated[Booking, Depends(_readable)]
"""The buyer's own booking, or any booking for staff, whose reading is recorded in the audit log."""


async def find_details(context: ReservationContext, booking_id: UUID) -> BookingDetails | None:
    """A booking of any buyer as it is now, with all that is known about it."""
    found = await with_deadline(_facts(context, booking_id))
    return describe(*found) if found else None


async def with_details(context: ReservationContext, booking: Booking) -> BookingDetails:
    """What a command answered, with all that is known about the booking.

    Raises:
        Refused: OUTCOME_UNKNOWN: It cannot be read.
    """
    with after_order(about(booking.id)):
        found = await with_deadline(_facts(context, booking.id))
    if found is None:
        raise unknown(about(booking.id))
    return describe(booking, found[1])


async def _facts(context: ReservationContext, booking_id: UUID) -> tuple[Booking, BookingFacts] | None:
    async with autocommit(context.engine) as connection:
        return (await facts.facts_of(connection, [booking_id])).get(booking_id)


async def page_of(
    context: ReservationContext, user_id: UUID, wanted: history.Wanted, after: UUID | None, limit: int
) -> list[BookingDetails]:
    """A user's bookings, newest first."""

    async def read() -> list[BookingDetails]:
        async with context.engine.connect() as connection:
            ids = await history.of_user(connection, user_id, wanted, after=after, limit=limit)
            found = await facts.facts_of(connection, ids)
            return [describe(*found[id]) for id in ids]

    return await with_deadline(read())


async def refunds_of(context: ReservationContext, booking: Booking, *, strict: bool = False) -> list[Refund]:
    """A booking's refunds, oldest first, with the reasons of a buyer who is not erased; see `with_reasons`."""

    async def read() -> list[Refund]:
        async with context.engine.connect() as connection:
            return await refunds.of_booking(connection, booking.id)

    return await with_reasons(context, booking, await with_deadline(read()), strict=strict)


async def with_reasons(
    context: ReservationContext, booking: Booking, found: Sequence[Refund], *, strict: bool = False
) -> list[Refund]:
    """Refunds of one booking with what persons gave as their reasons, empty where it cannot be opened.

    Raises:
        Refused: UNAVAILABLE: `strict`, and the identity service, which opens the reasons, gives no proper answer.
    """
    sealed = [each.sealed_reason for each in found if each.sealed_reason]
    try:
        opened = await context.personal_data.open(booking.user_id, Purpose.REFUND_REASON, sealed) if sealed else None
    except Refused as refused:
        if strict:
            raise
        log.warning("reasons_not_opened", booking_id=str(booking.id), error=refused.problem.detail)
        opened = None
    reasons = iter(opened or ())
    return [each.model_copy(update={"reason": next(reasons, "")}) if each.sealed_reason else each for each in found]


async def exchanges_of(context: ReservationContext, booking_id: UUID) -> list[Exchange]:
    """A booking's newest exchanges, oldest first."""

    async def read() -> list[Exchange]:
        async with context.engine.connect() as connection:
            return await exchange_history.of_booking(connection, booking_id)

    return await with_deadline(read())


async def require_exchange(context: ReservationContext, booking_id: UUID, exchange_id: UUID) -> Exchange:
    """One of a booking's exchanges.

    Raises:
        Refused: NOT_FOUND: The booking has no such exchange.
    """

    async def read() -> Exchange | None:
        async with context.engine.connect() as connection:
            return await exchanges.find(connection, exchange_id)

    found = await with_deadline(read())
    if found is None or found.booking_id != booking_id:
        raise Refused(ProblemType.NOT_FOUND, "There is no such exchange.")
    return found


async def domain_events_of(context: ReservationContext, booking_id: UUID) -> list[dict[str, Any]]:
    """A booking's newest domain events, oldest first."""

    async def read() -> list[dict[str, Any]]:
        async with context.engine.connect() as connection:
            return await history.domain_events(connection, booking_id)

    return await with_deadline(read())
