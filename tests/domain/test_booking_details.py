"""What a booking says of itself in each of its states."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.booking_details import BookingFacts, EventOfBooking, ExchangeUnderWay, IssuedTicket, describe
from domain.bookings import PAID, Booking, BookingStatus
from domain.exchanges import ExchangeState

_S = BookingStatus
UNTIL = datetime(2030, 5, 1, 12, tzinfo=UTC)
URL = "https://bank.example/3ds"
EVENT = EventOfBooking(
    name="Hamlet", venue="Zorlu PSM", city="Istanbul", country="TR",
    starts_at=datetime(2030, 5, 4, 16, 30, tzinfo=UTC), timezone="Europe/Istanbul", status="on_sale",
)  # fmt: skip
REFUND, EXCHANGE = uuid4(), uuid4()
DECLINED = {"type": "payment-declined", "detail": "The payment was declined.", "members": {"code": "expired_card"}}


def a_booking(status: BookingStatus, **changes: Any) -> Booking:
    booking = Booking(
        id=uuid4(), version=3, user_id=uuid4(), event_id=uuid4(), status=status, seats=("A-1-1", "A-1-2"),
        quantities={"Standing": 2}, amount=16000, currency="EUR", expires_at=UNTIL,
    )  # fmt: skip
    return booking.model_copy(update=changes)


def facts(*tickets: IssuedTicket, **more: Any) -> BookingFacts:
    return BookingFacts(event=EVENT, prices={"A": 5000, "Standing": 3000}, tickets=tickets, **more)


def a_ticket(seat: str | None, refund_id: UUID | None = None, *, void: bool = False) -> IssuedTicket:
    status = "void" if void or refund_id else "valid"
    return IssuedTicket(
        id=uuid4(), section="A" if seat else "Standing", seat=seat, status=status, refund_id=refund_id
    )  # fmt: skip


def test_the_event_is_shown_on_the_venues_clock_and_in_utc() -> None:
    event = describe(a_booking(_S.HELD), facts()).model_dump(mode="json")["event"]
    assert event["starts_at"] == "2030-05-04T16:30:00Z"
    assert event["starts_at_local"] == "2030-05-04T19:30:00+03:00"
    assert (event["timezone"], event["venue"], event["city"]) == ("Europe/Istanbul", "Zorlu PSM", "Istanbul")


def test_a_held_booking_has_a_price_for_each_place() -> None:
    places = describe(a_booking(_S.HELD), facts()).places
    assert [(place.seat or place.section, place.quantity, place.price) for place in places] == [
        ("A-1-1", 1, 5000), ("A-1-2", 1, 5000), ("Standing", 2, 3000),
    ]  # fmt: skip


@pytest.mark.parametrize("status", sorted(PAID | {_S.NEEDS_ATTENTION}))
def test_a_refunded_place_is_no_place_of_the_booking_any_more(status: BookingStatus) -> None:
    kept, standing = a_ticket("A-1-2"), a_ticket(None)
    refunded = a_ticket("A-1-1", REFUND), a_ticket(None, REFUND)
    told = describe(a_booking(status), facts(refunded[0], kept, standing, refunded[1]))
    assert (told.seats, told.quantities) == (("A-1-2",), {"Standing": 1})
    assert [(place.seat, place.quantity) for place in told.places] == [("A-1-2", 1), (None, 1)]
    assert [(each.id, each.price, each.status) for each in told.tickets] == [
        (kept.id, 5000, "valid"), (standing.id, 3000, "valid"),
    ]  # fmt: skip
    assert [(each.id, each.cause, each.refund_id) for each in told.void_tickets] == [
        (refunded[0].id, "refund", REFUND), (refunded[1].id, "refund", REFUND),
    ]  # fmt: skip


def test_an_exchanged_ticket_is_void_without_a_refund() -> None:
    told = describe(a_booking(_S.CONFIRMED, seats=("A-1-2",)), facts(a_ticket("A-1-1", void=True), a_ticket("A-1-2")))
    assert [(each.seat, each.cause, each.refund_id) for each in told.void_tickets] == [("A-1-1", "exchange", None)]
    assert told.seats == ("A-1-2",)


def test_a_booking_whose_tickets_are_all_refunded_has_no_places() -> None:
    told = describe(a_booking(_S.REFUNDED), facts(a_ticket("A-1-1", REFUND), a_ticket("A-1-2", REFUND)))
    assert (told.seats, told.quantities, told.places, told.tickets) == ((), {}, (), ())


@pytest.mark.parametrize("status", [_S.CANCELLED, _S.EXPIRED, _S.FAILED])
def test_a_booking_that_ended_unpaid_says_what_it_was_for(status: BookingStatus) -> None:
    told = describe(a_booking(status), facts())
    assert (told.seats, told.quantities) == (("A-1-1", "A-1-2"), {"Standing": 2})
    assert (told.under_way, told.next_action) == (None, None)


@pytest.mark.parametrize(
    ("status", "stored", "kind", "action"),
    [
        (_S.HELD, {}, None, ("pay", None)),
        (_S.PAYING, {}, "payment", None),
        (_S.ACTION_REQUIRED, {"action_url": URL}, "payment", ("redirect_to_url", URL)),
        (_S.ACTION_REQUIRED, {}, "payment", None),
        (_S.CONFIRMED, {}, None, None),
        (_S.CONFIRMED, {"state": ExchangeState.PENDING}, "exchange", None),
        (_S.CONFIRMED, {"state": ExchangeState.ACTION_REQUIRED, "url": URL}, "exchange", ("redirect_to_url", URL)),
        (_S.REFUNDING, {"refund_id": REFUND}, "refund", None),
        (_S.NEEDS_ATTENTION, {}, "support", None),
        (_S.NEEDS_ATTENTION, {"action_url": URL}, "support", None),
        (_S.REFUNDED, {}, None, None),
        (_S.CANCELLED, {}, None, None),
        (_S.EXPIRED, {}, None, None),
        (_S.FAILED, {}, None, None),
    ],
)
def test_a_booking_says_what_is_under_way_and_what_its_buyer_does_next(
    status: BookingStatus, stored: dict[str, Any], kind: str | None, action: tuple[str, str | None] | None
) -> None:
    exchange = None
    if state := stored.pop("state", None):
        exchange = ExchangeUnderWay(id=EXCHANGE, state=state, action_url=stored.pop("url", None))
    told = describe(a_booking(status), facts(exchange=exchange, **stored))
    assert (told.under_way.kind if told.under_way else None) == kind
    assert ((told.next_action.type, told.next_action.url) if told.next_action else None) == action
    assert (told.under_way.id if told.under_way else None) == {"exchange": EXCHANGE, "refund": REFUND}.get(kind or "")


def test_the_time_for_paying_is_named() -> None:
    action = describe(a_booking(_S.HELD), facts()).next_action
    assert action
    assert action.until == UNTIL


def test_a_booking_says_why_its_last_payment_came_to_nothing() -> None:
    failure = describe(a_booking(_S.HELD), facts(payment_problem=DECLINED)).payment_failure
    assert failure
    assert failure.model_dump() == {
        "type": "payment-declined", "detail": "The payment was declined.", "code": "expired_card",
    }  # fmt: skip
    assert describe(a_booking(_S.HELD), facts()).payment_failure is None


def test_the_first_answer_to_a_hold_knows_of_no_later_payment() -> None:
    held = a_booking(_S.HELD, version=1)
    assert describe(held, facts(payment_problem=DECLINED)).payment_failure is None
