"""The legal edges of a booking's life."""

from __future__ import annotations

from itertools import product

import pytest

from domain.bookings import EDGES, ENDED, BookingStatus, check_edge

REFUNDS = {BookingStatus.REFUNDING, BookingStatus.PARTIALLY_REFUNDED, BookingStatus.REFUNDED}
UNPAID_ENDS = ENDED - {BookingStatus.CONFIRMED}


def reachable(start: BookingStatus) -> set[BookingStatus]:
    """All states that a booking can come to from here."""
    seen: set[BookingStatus] = set()
    waiting = [start]
    while waiting:
        new = EDGES[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def test_every_state_has_its_edges() -> None:
    assert set(EDGES) == set(BookingStatus)


@pytest.mark.parametrize("end", sorted(UNPAID_ENDS))
def test_a_booking_that_came_to_nothing_stays_so_unless_its_money_turns_up_late(end: BookingStatus) -> None:
    late_payment = {BookingStatus.PAYING} if end is BookingStatus.EXPIRED else set()
    assert EDGES[end] == late_payment


def test_a_refunded_booking_stays_so_unless_the_provider_takes_its_word_back() -> None:
    assert EDGES[BookingStatus.REFUNDED] == {BookingStatus.REFUNDING}


def test_a_confirmed_booking_can_only_be_refunded_or_looked_at_by_an_operator() -> None:
    assert EDGES[BookingStatus.CONFIRMED] <= REFUNDS | {BookingStatus.NEEDS_ATTENTION}


@pytest.mark.parametrize("status", BookingStatus)
def test_from_every_state_there_is_a_way_to_an_end(status: BookingStatus) -> None:
    assert not EDGES[status] or reachable(status) & (ENDED | {BookingStatus.REFUNDED})


def test_every_state_can_be_reached_from_a_hold() -> None:
    assert reachable(BookingStatus.HELD) | {BookingStatus.HELD} == set(BookingStatus)


def test_nothing_is_confirmed_without_a_payment_or_an_operator() -> None:
    before = {old for old, targets in EDGES.items() if BookingStatus.CONFIRMED in targets}
    assert before == {BookingStatus.PAYING, BookingStatus.NEEDS_ATTENTION, BookingStatus.REFUNDING}


@pytest.mark.parametrize(("old", "new"), list(product(BookingStatus, BookingStatus)))
def test_an_edge_is_legal_or_refused_by_name(old: BookingStatus, new: BookingStatus) -> None:
    if new in EDGES[old]:
        check_edge(old, new)
    else:
        with pytest.raises(ValueError, match=f"cannot go from {old} to {new}"):
            check_edge(old, new)
