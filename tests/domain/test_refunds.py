"""What an organizer's policy grants, and that a booking's refunds add up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bookings import BookingStatus, Ticket
from domain.domain_events import BookingPartiallyRefunded, BookingRefunded, BookingRefunding
from domain.rebuilding import rebuild
from domain.refunds import RefundPolicy
from tests.domain.test_domain_events import A_HOLD
from tests.domain.test_rebuilding import PAYING, WHO
from tests.workers.outside import a_confirmed_booking

CONFIRMED = a_confirmed_booking(
    **WHO, tickets=tuple(Ticket(id=uuid4(), section="A", seat=seat) for seat in ("A-1-1", "A-1-2"))
)

START = datetime(2030, 5, 1, 19, 30, tzinfo=UTC)
PRICES = st.lists(st.integers(0, 100_000), max_size=20)


@pytest.mark.parametrize(
    ("until", "hours_before", "is_open"),
    [(0, 0.01, True), (0, 0, False), (24, 24.01, True), (24, 24, False), (None, 9999, False)],
)
def test_tickets_can_be_given_back_until_so_many_hours_before(
    until: int | None, hours_before: float, is_open: bool
) -> None:
    assert RefundPolicy(until_hours=until).is_open(START, START - timedelta(hours=hours_before)) is is_open


@given(
    steps=PRICES,
    percent=st.integers(0, 100),
    fixed=st.integers(0, 5000),
    cut=st.integers(0, 20),
    step=st.sampled_from([1, 10, 100]),
)
def test_giving_tickets_back_in_parts_costs_the_same_as_all_at_once(
    steps: list[int], percent: int, fixed: int, cut: int, step: int
) -> None:
    policy, prices = RefundPolicy(fee_percent=percent, fee_fixed=fixed), [each * step for each in steps]
    fee = policy.fee(prices, step)
    assert policy.fee(prices[:cut], step) + policy.fee(prices[cut:], step) == fee
    assert 0 <= fee <= sum(prices)
    assert (sum(prices) - fee) % step == 0


@pytest.mark.parametrize(
    ("prices", "percent", "fixed", "step", "back"),
    [
        ([99], 10, 0, 1, 90),
        ([12_340], 5, 0, 10, 11_730),  # KWD
        ([12_340, 12_340], 5, 0, 10, 23_460),
        ([25_000], 1, 0, 100, 24_800),  # MGA
        ([10_000], 0, 150, 100, 9_900),
        ([10_000], 100, 150, 100, 0),
        ([0], 50, 150, 100, 0),
    ],
)
def test_what_the_provider_cannot_pay_is_rounded_for_the_buyer(
    prices: list[int], percent: int, fixed: int, step: int, back: int
) -> None:
    fee = RefundPolicy(fee_percent=percent, fee_fixed=fixed).fee(prices, step)
    assert sum(prices) - fee == back


def refunding(*tickets: Any) -> BookingRefunding:
    return BookingRefunding(
        **WHO, status=BookingStatus.REFUNDING, refund_id=uuid4(), tickets=tickets, amount=5000, fee=0, currency="EUR",
        cause="buyer",
    )  # fmt: skip


def returned(kind: type[Any], status: BookingStatus, amount: int, total: int) -> Any:
    return kind(
        **WHO, status=status, refund_id=uuid4(), event_name="Hamlet", amount=amount, refunded=total, tickets=1,
        currency="EUR", cause="buyer",
    )  # fmt: skip


def test_a_booking_given_back_in_two_parts_is_rebuilt_with_what_is_left() -> None:
    first, second = CONFIRMED.tickets
    part = [refunding(first), returned(BookingPartiallyRefunded, BookingStatus.PARTIALLY_REFUNDED, 5000, 5000)]
    booking = rebuild([A_HOLD, PAYING, CONFIRMED, *part])
    assert (booking.status, booking.refunded, booking.tickets) == ("partially_refunded", 5000, (second,))
    rest = [refunding(second), returned(BookingRefunded, BookingStatus.REFUNDED, 6000, 11000)]
    booking = rebuild([A_HOLD, PAYING, CONFIRMED, *part, *rest])
    assert (booking.status, booking.refunded, booking.tickets) == ("refunded", 11000, ())


def test_refunds_that_do_not_add_up_are_found() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        rebuild([A_HOLD, PAYING, CONFIRMED, refunding(), returned(BookingRefunded, BookingStatus.REFUNDED, 5000, 6000)])
