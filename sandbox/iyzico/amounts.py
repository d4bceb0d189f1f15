"""Amounts as iyzico writes them: decimal numbers of a currency with two decimals."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from sandbox.iyzico.errors import invalid

CURRENCIES = frozenset({"TRY", "USD", "EUR", "GBP"})
MOST = 99_999_999


def minor_units(name: str, value: Any) -> int:
    """Parse an amount into minor units.

    Raises:
        ApiError: Not a positive decimal number with at most two decimals.
    """
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        raise invalid(f"{name} must be a decimal number")
    minor = Decimal(text) * 100
    if minor != int(minor) or not 1 <= minor <= MOST:
        raise invalid(f"{name} must be a positive amount with at most two decimals")
    return int(minor)


def price(minor: int) -> float:
    """The amount as the number in a response."""
    return minor / 100


def written(minor: int, currency: str) -> str:
    """An amount as shown to the buyer."""
    return f"{minor / 100:,.2f} {currency}"


def currency(value: Any) -> str:
    """Raises: ApiError: Not one of iyzico's currencies."""
    if value not in CURRENCIES:
        raise invalid(f"currency must be one of {', '.join(sorted(CURRENCIES))}")
    return str(value)
