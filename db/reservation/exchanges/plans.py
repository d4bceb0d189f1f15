"""The plan of an exchange, or its refusal; checked before anything is done, and again when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation import offers
from db.reservation.bookings import bookings
from db.reservation.policies import Policies, find_policies
from db.reservation.refunds import refunds
from db.reservation.tables import ExchangeRow, TicketRow
from domain.bookings import Booking, BookingStatus, Ticket, seats_unavailable
from domain.exchanges import EXCHANGEABLE, MOST_EXCHANGES, ExchangeRequest, ExchangeState
from domain.money_back import MoneyBack, PriceChange, money_back
from domain.problems import ProblemType, Refused
from domain.providers import check_admitted


class Plan(NamedTuple):
    """An exchange at one moment: the ticket, the difference in price, and what goes back of a negative one.

    Attributes:
        difference: Minor units, negative for a cheaper seat.
        until: When exchanges of the event end.
        providers: The payment providers that the event admits; None for any.
        is_for_free: The new seat costs nothing, and the old one costs something.
    """

    booking: Booking
    ticket: Ticket
    old_seat: str
    difference: int
    back: MoneyBack
    until: datetime
    providers: Sequence[str] | None
    is_for_free: bool


async def plan(connection: AsyncConnection, request: ExchangeRequest, *, lock: bool = False) -> Plan:
    """The plan at this moment, which includes the payment. Nothing is changed, and claims on the seat are not checked.

    Args:
        connection: To the reservation service's database.
        request: The ticket, the seat that is wanted, and the payment if there is one.
        lock: The event cannot be cancelled before this transaction ends.

    Raises:
        Refused: As for `plan_seats`; or the payment for the difference is missing.
    """
    planned = await plan_seats(connection, request.booking_id, request.ticket, request.seat, lock=lock)
    if planned.difference > 0:
        _check_payment(request, planned)
    return planned


async def plan_seats(
    connection: AsyncConnection, booking_id: UUID, asked: UUID, seat: str, *, lock: bool = False
) -> Plan:
    """The plan at this moment, whatever way it is paid; the arguments are those of `plan`.

    Raises:
        Refused: The booking is not paid or is being changed, it has no such ticket, the event has no such seat or is
            not on sale, its policy does not allow it, or the booking was exchanged too often.
    """
    booking = await _changeable(connection, booking_id)
    ticket, old_seat = await _chosen(connection, booking, asked)
    offered = await offers.find_sale(connection, booking.event_id, lock=lock)
    policies = await find_policies(connection, booking.event_id)
    until = _check_open(policies)
    await _check_count(connection, booking.id)
    price = offers.price_of(offered.sections, [seat], {})
    if seat in {each.seat for each in booking.tickets}:
        raise seats_unavailable([seat])
    old_price = int(offered.sections[ticket.section].price)
    back = money_back(policies.terms, [PriceChange(old_price, price)], booking.amount - booking.refunded)
    return Plan(booking, ticket, old_seat, price - old_price, back, until, offered.providers, price == 0 < old_price)


async def _changeable(connection: AsyncConnection, booking_id: UUID) -> Booking:
    booking = await bookings.find(connection, booking_id)
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


def _check_payment(request: ExchangeRequest, planned: Plan) -> None:
    if request.payment is None:
        detail = f"provider: the seat costs {planned.difference} more: say how to pay."
        raise Refused(ProblemType.INVALID_REQUEST, detail, field="provider")
    check_admitted(request.payment.provider, planned.providers)


async def _check_count(connection: AsyncConnection, booking_id: UUID) -> None:
    completed = ExchangeRow.booking_id == booking_id, ExchangeRow.state == ExchangeState.COMPLETED
    if (await connection.execute(select(func.count()).where(*completed))).scalar_one() >= MOST_EXCHANGES:
        detail = f"Seats of one booking can be exchanged {MOST_EXCHANGES} times. This booking has had all of them."
        raise Refused(ProblemType.EXCHANGE_NOT_ALLOWED, detail)


def _check_open(policies: Policies) -> datetime:
    """When exchanges end, if they have not."""
    policy = policies.exchange
    ends_at = policy.ends_at(policies.starts_at)
    if ends_at and policies.now < ends_at:
        return ends_at
    detail = "Seats of this event cannot be exchanged."
    if policy.until_hours is not None:
        detail = f"Seats of this event can be exchanged until {policy.until_hours} hours before it begins."
    raise Refused(ProblemType.EXCHANGE_NOT_ALLOWED, detail, until_hours=policy.until_hours)
