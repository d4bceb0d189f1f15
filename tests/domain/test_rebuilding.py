"""A booking from its domain events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.bookings import BookingStatus, Ticket
from domain.domain_events import (
    BookingActionRequired,
    BookingCancelled,
    BookingConfirmed,
    BookingEvent,
    BookingPaying,
    EventSummary,
    TicketExchanged,
    TicketExchangeFailed,
)
from domain.rebuilding import rebuild
from tests.domain.test_domain_events import A_HOLD
from tests.workers.outside import a_confirmed_booking

WHO: dict[str, Any] = A_HOLD.model_dump(include={"booking_id", "event_id", "user_id"})
PAYING = BookingPaying(**WHO, status=BookingStatus.PAYING)
ACTION_REQUIRED = BookingActionRequired(**WHO, status=BookingStatus.ACTION_REQUIRED)
CANCELLED = BookingCancelled(**WHO, status=BookingStatus.CANCELLED)
OLD = Ticket(id=uuid4(), section="A", seat="A-1-1")
CONFIRMED = a_confirmed_booking(**WHO, tickets=(OLD,))
EXCHANGED = TicketExchanged(
    **WHO,
    status=BookingStatus.CONFIRMED,
    exchange_id=uuid4(),
    event_name="Hamlet",
    starts_at=A_HOLD.expires_at,
    old=OLD,
    new=Ticket(id=uuid4(), section="B", seat="B-1-9"),
    amount=1000,
    returns=0,
    currency="EUR",
)


FAILED_EXCHANGE = TicketExchangeFailed(
    **WHO,
    status=BookingStatus.CONFIRMED,
    exchange_id=uuid4(),
    reason="payment-declined",
    ticket=OLD,
    seat="B-1-9",
    event=EventSummary(name="Hamlet", starts_at=A_HOLD.expires_at),
)


def test_a_hold_says_all_about_its_booking() -> None:
    booking = rebuild([A_HOLD])
    assert (booking.id, booking.version, booking.status) == (A_HOLD.booking_id, 1, BookingStatus.HELD)
    assert (booking.seats, booking.quantities) == (("A-1-1",), {"Standing": 2})
    assert (booking.amount, booking.currency, booking.expires_at) == (11000, "EUR", A_HOLD.expires_at)


def test_a_whole_life_leads_to_the_tickets() -> None:
    later = A_HOLD.model_copy(update={"expires_at": A_HOLD.expires_at + timedelta(minutes=1)})
    history: list[BookingEvent] = [A_HOLD, PAYING, ACTION_REQUIRED, PAYING, later, PAYING, CONFIRMED]
    booking = rebuild(history)
    assert (booking.status, booking.version, booking.tickets) == (BookingStatus.CONFIRMED, 7, CONFIRMED.tickets)
    assert booking.expires_at == later.expires_at
    assert isinstance(CONFIRMED, BookingConfirmed)


@pytest.mark.parametrize(
    ("history", "why"),
    [
        ([], "begins with being held"),
        ([PAYING], "begins with being held"),
        ([A_HOLD, CONFIRMED], "cannot go from held to confirmed"),
        ([A_HOLD, CANCELLED, PAYING], "cannot go from cancelled to paying"),
        ([A_HOLD, PAYING, EXCHANGED], "exchanged while it was paying"),
        ([A_HOLD, PAYING, FAILED_EXCHANGE], "exchanged while it was paying"),
        ([A_HOLD, PAYING, CONFIRMED, EXCHANGED, EXCHANGED], "a ticket that it does not have"),
        ([A_HOLD, PAYING.model_copy(update={"booking_id": uuid4()})], "another booking"),
        ([A_HOLD, PAYING.model_copy(update={"user_id": uuid4()})], "another booking"),
    ],
)
def test_a_history_that_cannot_have_happened_is_refused(history: list[BookingEvent], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        rebuild(history)


def test_an_exchange_leads_to_the_new_seat_and_its_price() -> None:
    booking = rebuild([A_HOLD, PAYING, CONFIRMED, EXCHANGED])
    assert (booking.status, booking.version, booking.seats) == (BookingStatus.CONFIRMED, 4, ("B-1-9",))
    assert booking.amount == A_HOLD.amount + 1000
    assert EXCHANGED.new in booking.tickets
    assert OLD not in booking.tickets


def test_an_exchange_that_failed_leaves_the_booking_as_it_was() -> None:
    before = rebuild([A_HOLD, PAYING, CONFIRMED])
    assert rebuild([A_HOLD, PAYING, CONFIRMED, FAILED_EXCHANGE]) == before.model_copy(update={"version": 4})
