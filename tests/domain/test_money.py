"""Money that cannot be wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.money import Money

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
