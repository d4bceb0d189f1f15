"""Rebuilds a booking from its domain events alone, to check its row against them."""

from __future__ import annotations

from collections.abc import Iterable

from domain.bookings import Booking, BookingStatus, check_edge
from domain.domain_events import (
    BookingConfirmed,
    BookingEvent,
    BookingHeld,
    BookingMoneyReturned,
    BookingRefundedByProvider,
    BookingRefunding,
    BookingRefundTakenBack,
    BookingReinstated,
    TicketExchanged,
    TicketExchangeFailed,
)
from domain.exchanges import EXCHANGEABLE, exchanged


def rebuild(history: Iterable[BookingEvent]) -> Booking:
    """The booking after all its domain events, oldest first.

    Raises:
        ValueError: They do not begin with a hold, are about several bookings, or leave the legal edges.
    """
    events = iter(history)
    first = next(events, None)
    if not isinstance(first, BookingHeld) or first.status is not BookingStatus.HELD:
        raise ValueError("a booking begins with being held")
    booking = _begin(first)
    for event in events:
        booking = _follow(booking, event)
    return booking


def _begin(first: BookingHeld | BookingReinstated) -> Booking:
    return Booking(id=first.booking_id, version=1, **first.model_dump(exclude={"type", "booking_id"}))


def _follow(booking: Booking, event: BookingEvent) -> Booking:
    if (event.booking_id, event.event_id, event.user_id) != (booking.id, booking.event_id, booking.user_id):
        raise ValueError(f"the domain events of booking {booking.id} include another booking's")
    if isinstance(event, TicketExchanged):
        return _exchange(booking, event)
    if isinstance(event, TicketExchangeFailed):
        _check_exchangeable(booking, event)
        return booking.model_copy(update={"version": booking.version + 1})
    if not isinstance(event, BookingRefundedByProvider):
        check_edge(booking.status, event.status)
    changes = {"status": event.status, "version": booking.version + 1}
    match event:
        case BookingHeld() | BookingReinstated():
            return _begin(event).model_copy(update=changes)
        case BookingConfirmed():
            return booking.model_copy(update=changes | {"tickets": event.tickets})
        case BookingRefunding():
            void = {ticket.id for ticket in event.tickets}
            left = tuple(ticket for ticket in booking.tickets if ticket.id not in void)
            return booking.model_copy(update=changes | {"tickets": left})
        case BookingMoneyReturned():
            if event.refunded != booking.refunded + event.amount:
                raise ValueError(f"the refunds of booking {booking.id} do not add up")
            return booking.model_copy(update=changes | {"refunded": event.refunded})
        case BookingRefundTakenBack():
            if event.refunded != booking.refunded - event.amount:
                raise ValueError(f"the refunds of booking {booking.id} do not add up")
            return booking.model_copy(update=changes | {"refunded": event.refunded})
        case _:
            return booking.model_copy(update=changes)


def _check_exchangeable(booking: Booking, event: TicketExchanged | TicketExchangeFailed) -> None:
    if booking.status not in EXCHANGEABLE or event.status is not booking.status:
        raise ValueError(f"a ticket of booking {booking.id} was exchanged while it was {booking.status}")


def _exchange(booking: Booking, event: TicketExchanged) -> Booking:
    _check_exchangeable(booking, event)
    if event.old not in booking.tickets or event.old.seat is None or event.new.seat is None:
        raise ValueError(f"booking {booking.id} has exchanged a ticket that it does not have")
    return booking.model_copy(
        update={
            "version": booking.version + 1,
            "seats": exchanged(booking.seats, event.old.seat, event.new.seat),
            "amount": booking.amount + event.amount,
            "tickets": (*(ticket for ticket in booking.tickets if ticket != event.old), event.new),
        }
    )
