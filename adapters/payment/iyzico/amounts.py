"""Amounts as iyzico writes them: decimal numbers of whole units."""

from __future__ import annotations

from decimal import Decimal

from adapters.payment.iyzico import IYZICO
from domain.money import Money
from domain.payments import AmountRejected

_DECIMALS = 2


def write_amount(amount: Money) -> str:
    """An amount as text, such as `50.10`.

    Raises:
        AmountRejected: iyzico does not take the currency.
    """
    try:
        units = IYZICO.to_units(amount)
    except ValueError as error:
        raise AmountRejected("currency_not_supported", str(error)) from error
    return f"{Decimal(units).scaleb(-_DECIMALS):f}"


def read_amount(price: Decimal | int | str, currency: str) -> Money:
    """What a price in an answer is.

    Raises:
        ValueError: It has parts of a minor unit.
    """
    return IYZICO.from_units(Decimal(str(price)).scaleb(_DECIMALS), currency)


def read_fee(price: Decimal | int | str, currency: str) -> Money:
    """What a fee is; iyzico computes fees in parts of a minor unit, which are cut off."""
    return IYZICO.from_units(Decimal(str(price)).scaleb(_DECIMALS), currency, cut=True)
