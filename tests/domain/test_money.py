"""Money that cannot be wrong."""

from __future__ import annotations

from decimal import Decimal

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.money import Money, exponent, format_money, from_decimal, to_decimal

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


@given(AMOUNTS, st.sampled_from(iso4217.Currency))
def test_an_amount_is_the_same_after_its_way_through_whole_units(amount: int, listed: iso4217.Currency) -> None:
    currency = listed.code
    assert from_decimal(to_decimal(amount, currency), currency) == amount
    assert from_decimal(str(to_decimal(amount, currency)), currency) == amount


@pytest.mark.parametrize("units", [12.5, "12.50", "12.509", Decimal("12.5")])
def test_parts_of_a_minor_unit_are_cut_off(units: float | str | Decimal) -> None:
    assert from_decimal(units, "EUR") == 1250
