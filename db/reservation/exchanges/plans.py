"""The plan of an exchange, or its refusal; checked before anything is done, and again when it is done."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation import offers
from db.reservation.bookings import bookings
from db.reservation.refunds import refunds
from db.reservation.tables import EventRow, TicketRow
from domain.bookings import Booking, BookingStatus, Ticket, seats_unavailable
from domain.exchanges import EXCHANGEABLE, ExchangePolicy, ExchangeRequest
from domain.problems import ProblemType, Refused
from domain.providers import check_admitted


class Plan(NamedTuple):
    """The ticket, and the difference in price (minor units, negative for a cheaper seat)."""

    booking: Booking
    ticket: Ticket
    old_seat: str
    difference: int


async def plan(connection: AsyncConnection, request: ExchangeRequest, *, lock: bool = False) -> Plan:
    """The plan at this moment. Nothing is changed, and claims on the seat are not checked.

    Args:
        connection: To the reservation service's database.
        request: The ticket, the seat that is wanted, and the payment if there is one.
        lock: The event cannot be cancelled before this transaction ends.

    Raises:
        Refused: The booking is not paid or is being changed, it has no such ticket, the event has no such seat or is
            not on sale, its policy does not allow it, or the payment for the difference is missing.
    """
    booking = await _changeable(connection, request)
    ticket, old_seat = await _chosen(connection, booking, request.ticket)
    offered = await offers.find_sale(connection, booking.event_id, lock=lock)
    await _check_policy(connection, booking.event_id)
    price = offers.price_of(offered.sections, [request.seat], {})
    if request.seat in {each.seat for each in booking.tickets}:
        raise seats_unavailable([request.seat])
    difference = price - int(offered.sections[ticket.section].price)
    if difference > 0:
        await _check_payment(connection, request, difference)
    return Plan(booking, ticket, old_seat, difference)


async def _changeable(connection: AsyncConnection, request: ExchangeRequest) -> Booking:
    booking = await bookings.find(connection, request.booking_id)
    if booking is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such booking.")
    if booking.status is BookingStatus.REFUNDING:
        raise Refused(ProblemType.REFUND_IN_PROGRESS, "A refund of this booking is under way.")
    if booking.status not in EXCHANGEABLE:
        raise Refused(ProblemType.WRONG_STATE, f"The booking is {booking.status}.", booking_status=str(booking.status))
    await refunds.check_no_exchange(connection, booking.id)
    return booking


async def _chosen(connection: AsyncConnection, booking: Booking, asked: UUID) -> tuple[Ticket, str]:
    ticket = next((each for each in booking.tickets if each.id == asked), None)
    if ticket is None:
        known = select(TicketRow.id).where(TicketRow.booking_id == booking.id, TicketRow.id == asked)
        if (await connection.execute(known)).one_or_none():
            raise Refused(ProblemType.WRONG_STATE, "The ticket is not valid any more.", tickets=[str(asked)])
        raise Refused(
            ProblemType.UNKNOWN_TICKETS,
            f"The booking has no such ticket: {asked}.",
            field="ticket",
            tickets=[str(asked)],
        )
    if ticket.seat is None:
        raise Refused(ProblemType.INVALID_REQUEST, "ticket: it is for no seat that could be exchanged.", field="ticket")
    return ticket, ticket.seat


async def _check_payment(connection: AsyncConnection, request: ExchangeRequest, difference: int) -> None:
    if request.payment is None:
        detail = f"provider: the seat costs {difference} more: say how to pay."
        raise Refused(ProblemType.INVALID_REQUEST, detail, field="provider")
    admitted = await connection.execute(select(EventRow.providers).where(EventRow.id == request.event_id))
    check_admitted(request.payment.provider, admitted.scalar_one())


async def _check_policy(connection: AsyncConnection, event_id: UUID) -> None:
    found = await connection.execute(
        select(EventRow.exchange_until_hours, EventRow.starts_at, func.now().label("now")).where(
            EventRow.id == event_id
        )
    )
    event = found.one()
    policy = ExchangePolicy(until_hours=event.exchange_until_hours)
    if policy.is_open(event.starts_at, event.now):
        return
    detail = "Seats of this event cannot be exchanged."
    if policy.until_hours is not None:
        detail = f"Seats of this event can be exchanged until {policy.until_hours} hours before it begins."
    raise Refused(ProblemType.EXCHANGE_NOT_ALLOWED, detail, until_hours=policy.until_hours)
