"""One policy decides what goes back, by whatever way, and no way around costs less."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money_back import MoneyBack, PriceChange, RefundTerms, money_back, shares
from domain.refunds import RefundPolicy

START = datetime(2030, 5, 1, 19, 30, tzinfo=UTC)
EARLY, BEGUN = START - timedelta(days=30), START + timedelta(minutes=1)
PRICES = st.integers(0, 100_000)
POLICIES = st.builds(RefundPolicy, fee_percent=st.integers(0, 100), fee_fixed=st.integers(0, 5000))
NO_REFUNDS, IN_FULL = RefundPolicy(until_hours=None), RefundPolicy()


def back(policy: RefundPolicy, *changes: tuple[int, int], now: datetime = EARLY, waived: bool = False) -> MoneyBack:
    left = sum(before for before, _ in changes)
    return money_back(RefundTerms(policy, START, now, 1, waived), [PriceChange(*change) for change in changes], left)


@pytest.mark.parametrize(
    ("policy", "change", "amount", "fee"),
    [
        (IN_FULL, (4500, 0), 4500, 0),
        (IN_FULL, (4500, 2000), 2500, 0),
        (IN_FULL, (4500, 4500), 0, 0),
        (IN_FULL, (2000, 4500), 0, 0),
        (NO_REFUNDS, (4500, 0), 0, 4500),
        (NO_REFUNDS, (4500, 2000), 0, 2500),
        (RefundPolicy(fee_percent=100), (10000, 100), 0, 9900),
        (RefundPolicy(fee_percent=100), (100, 0), 0, 100),
        (RefundPolicy(fee_percent=10), (5000, 4000), 900, 100),
        (RefundPolicy(fee_percent=10), (99, 0), 90, 9),
        (RefundPolicy(fee_fixed=150), (4500, 0), 4350, 150),
        (RefundPolicy(fee_fixed=150), (4500, 50), 4350, 100),
        (RefundPolicy(fee_fixed=150), (4500, 2000), 2500, 0),  # the fixed fee is kept when the ticket goes back
        (RefundPolicy(fee_fixed=150), (100, 0), 0, 100),
    ],
)
def test_the_refund_policy_decides_over_refunds_and_exchanges(
    policy: RefundPolicy, change: tuple[int, int], amount: int, fee: int
) -> None:
    found = back(policy, change)
    assert (found.amount, found.fee) == (amount, fee)


@pytest.mark.parametrize("change", [(4500, 0), (4500, 2000)])
@pytest.mark.parametrize(
    ("policy", "now", "is_open"),
    [
        (RefundPolicy(until_hours=48), START - timedelta(hours=49), True),
        (RefundPolicy(until_hours=48), START - timedelta(hours=48), False),
        (RefundPolicy(until_hours=48), BEGUN, False),
        (IN_FULL, START - timedelta(seconds=1), True),
        (IN_FULL, START, False),
        (NO_REFUNDS, EARLY, False),
    ],
)
def test_after_its_end_the_policy_gives_nothing_back_by_any_way(
    policy: RefundPolicy, now: datetime, is_open: bool, change: tuple[int, int]
) -> None:
    found, worth_less = back(policy, change, now=now), change[0] - change[1]
    assert (found.amount, found.fee) == ((worth_less, 0) if is_open else (0, worth_less))
    assert found.until == (policy.ends_at(START) if is_open else None)


@pytest.mark.parametrize("policy", [NO_REFUNDS, IN_FULL, RefundPolicy(fee_percent=100, fee_fixed=5000)])
@pytest.mark.parametrize("now", [EARLY, BEGUN])
def test_a_waiver_gives_everything_back_at_any_time(policy: RefundPolicy, now: datetime) -> None:
    assert back(policy, (4500, 0), (2000, 0), now=now, waived=True) == MoneyBack(amount=6500, fee=0)


@pytest.mark.parametrize(("waived", "left", "amount"), [(True, 10000, 10000), (True, 7000, 7000), (False, 10000, 90)])
def test_a_waiver_gives_back_what_exchanges_of_the_ticket_have_kept(waived: bool, left: int, amount: int) -> None:
    terms = RefundTerms(RefundPolicy(fee_percent=10), START, EARLY, 1, waived)
    assert money_back(terms, [PriceChange(100, kept=9900)], left).amount == amount


@pytest.mark.parametrize(("waived", "amount"), [(True, 4500), (False, 0)])
def test_a_waiver_gives_back_what_the_exchange_for_a_free_seat_has_kept(waived: bool, amount: int) -> None:
    terms, changes = RefundTerms(NO_REFUNDS, START, EARLY, 1, waived), [PriceChange(0, kept=4500)]
    whole = money_back(terms, changes, 4500)
    assert (whole.amount, whole.fee) == (amount, 0)
    assert [each.amount for each in shares(terms, changes, whole)] == [amount]


@pytest.mark.parametrize(("left", "amount", "fee"), [(5000, 4500, 500), (4800, 4500, 300), (4000, 4000, 0), (0, 0, 0)])
def test_no_more_goes_back_than_is_left_of_what_was_paid(left: int, amount: int, fee: int) -> None:
    terms = RefundTerms(RefundPolicy(fee_percent=10), START, EARLY, 1)
    found = money_back(terms, [PriceChange(3000), PriceChange(2000)], left)
    assert (found.amount, found.fee) == (amount, fee)


@given(policy=POLICIES, way=st.lists(PRICES, min_size=1, max_size=6))
def test_exchanges_and_then_a_refund_cost_the_fee_of_a_refund_of_the_dearest_seat(
    policy: RefundPolicy, way: list[int]
) -> None:
    """Each dearer seat is paid for, and each cheaper one gives something back; the last one is given back."""
    paid, returned = way[0], 0
    for before, after in zip(way, [*way[1:], 0], strict=True):
        paid += max(0, after - before)
        found = back(policy, (before, after))
        assert min(found.amount, found.fee) >= 0
        returned += found.amount
    fees = paid - returned
    assert fees >= policy.fee([max(way)], 1)
    if way == sorted(way, reverse=True):
        assert fees == policy.fee([way[0]], 1)


@given(policy=POLICIES, prices=st.lists(PRICES, max_size=12), left=st.integers(0, 500_000))
def test_the_shares_of_the_changes_are_the_whole_of_what_goes_back_and_is_kept(
    policy: RefundPolicy, prices: list[int], left: int
) -> None:
    terms, changes = RefundTerms(policy, START, EARLY, 1), [PriceChange(price) for price in prices]
    whole = money_back(terms, changes, left)
    parts = shares(terms, changes, whole)
    assert (sum(part.amount for part in parts), sum(part.fee for part in parts)) == (whole.amount, whole.fee)
    assert all(0 <= part.amount + part.fee <= price for part, price in zip(parts, prices, strict=True))


@given(policy=POLICIES, prices=st.lists(PRICES, max_size=12), cut=st.integers(0, 12))
def test_changes_one_by_one_give_back_the_same_as_all_together(
    policy: RefundPolicy, prices: list[int], cut: int
) -> None:
    changes = [(price, 0) for price in prices]
    whole, first, rest = back(policy, *changes), back(policy, *changes[:cut]), back(policy, *changes[cut:])
    assert (whole.amount, whole.fee) == (first.amount + rest.amount, first.fee + rest.fee)
