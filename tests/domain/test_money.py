"""Money that cannot be wrong."""

from __future__ import annotations

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.money import Money, exponent, format_money, is_listed, rescale, round_fee, round_up, to_decimal

AMOUNTS = st.integers(min_value=0, max_value=10**12)


@pytest.mark.parametrize("amount", [-1, 1.0, 0.5, "5", True, None])
def test_an_amount_is_a_whole_number_of_minor_units_and_never_negative(amount: object) -> None:
    with pytest.raises(ValidationError):
        Money.model_validate({"amount": amount, "currency": "EUR"})


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "EU", "E1R", "EUR\n", " EUR", "ÉUR"])
def test_a_currency_is_three_upper_case_letters(currency: str) -> None:
    with pytest.raises(ValidationError):
        Money(amount=1, currency=currency)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_amounts_of_one_currency_add_up_in_any_order(one: int, two: int, three: int) -> None:
    first, second, third = (Money(amount=amount, currency="EUR") for amount in (one, two, three))
    assert (first + second) + third == third + (second + first) == Money(amount=one + two + three, currency="EUR")


def test_different_currencies_are_never_added() -> None:
    with pytest.raises(ValueError, match="JPY"):
        Money(amount=1, currency="EUR") + Money(amount=1, currency="JPY")


def test_money_does_not_change_once_it_is_made() -> None:
    with pytest.raises(ValidationError):
        Money(amount=1, currency="EUR").amount = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (0, "EUR", "EUR 0.00"),
        (5, "EUR", "EUR 0.05"),
        (12050, "TRY", "TRY 120.50"),
        (12000, "JPY", "JPY 12000"),
        (1500, "KWD", "KWD 1.500"),
        (10**12, "EUR", "EUR 10000000000.00"),
    ],
)
def test_money_is_written_with_the_decimals_of_its_currency(amount: int, currency: str, written: str) -> None:
    assert format_money(amount, currency) == written


@pytest.mark.parametrize(
    ("digits", "currencies"),
    [
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
        (2, "EUR USD GBP TRY PLN HUF CZK IDR COP MGA AFN"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
    ],
)
def test_a_currency_has_as_many_decimals_as_iso_4217_says(digits: int, currencies: str) -> None:
    assert {exponent(currency) for currency in currencies.split()} == {digits}


@pytest.mark.parametrize("currency", ["ANG", "BGN", "STD", "XAU", "ZZZ"])
def test_a_code_without_decimals_in_the_standard_has_two(currency: str) -> None:
    assert exponent(currency) == 2


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "MGA", "XCG", "CLF"])
def test_iso_4217_lists_a_currency_that_money_can_be_paid_in(currency: str) -> None:
    assert is_listed(currency)


@pytest.mark.parametrize("currency", ["ZZZ", "XXX", "XTS", "XAU", "XDR", "XUA", "ANG", "BGN", "STD", "DEM", "eur", ""])
def test_a_code_that_no_money_can_be_paid_in_is_not_listed(currency: str) -> None:
    assert not is_listed(currency)


@given(AMOUNTS, st.integers(0, 4), st.integers(0, 4))
def test_an_amount_is_the_same_after_its_way_through_other_units(amount: int, decimals: int, other: int) -> None:
    assert rescale(rescale(amount, decimals, other), other, decimals) == amount


@given(AMOUNTS, st.sampled_from(iso4217.Currency))
def test_whole_units_are_minor_units_with_the_currency_s_decimals(amount: int, listed: iso4217.Currency) -> None:
    assert rescale(to_decimal(amount, listed.code), 0, exponent(listed.code)) == amount


@pytest.mark.parametrize(
    ("amount", "step", "rounded"), [(0, 10, 0), (1, 10, 10), (9, 10, 10), (10, 10, 10), (11, 10, 20), (7, 1, 7)]
)
def test_what_goes_back_is_rounded_up_to_a_step(amount: int, step: int, rounded: int) -> None:
    assert round_up(amount, step) == rounded


@pytest.mark.parametrize(
    ("price", "fee", "step", "kept"),
    [
        (4500, 617, 1, 617),
        (12_340, 617, 10, 610),  # KWD: 11.730 goes back, not 11.723
        (25_000, 250, 100, 200),  # MGA: 248.00, not 247.50
        (10_000, 150, 100, 100),
        (10_000, 99, 100, 0),
        (10_000, 10_000, 100, 10_000),
        (10_000, 20_000, 100, 10_000),
        (0, 150, 100, 0),
    ],
)
def test_a_fee_is_lowered_until_the_rest_is_a_step(price: int, fee: int, step: int, kept: int) -> None:
    assert round_fee(price, fee, step) == kept


@given(st.integers(0, 10**9), AMOUNTS, st.sampled_from([1, 10, 100]))
def test_a_rounded_fee_never_costs_the_buyer_more_than_a_step(steps: int, fee: int, step: int) -> None:
    price = steps * step
    kept = round_fee(price, fee, step)
    assert 0 <= kept <= min(fee, price)
    assert (price - kept) % step == 0
    assert min(fee, price) - kept < step
