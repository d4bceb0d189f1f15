"""Money as integer minor units with an ISO 4217 code, and how many decimals each currency has."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Annotated, Final, Self

import iso4217
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_USUAL_EXPONENT: Final = 2
"""For a code that the standard lists without decimals (gold, test codes) or no longer lists (BGN, ANG)."""

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Money(BaseModel):
    """An amount of one currency.

    Attributes:
        amount: Integer minor units (cents for EUR, whole yen for JPY); never negative.
        currency: ISO 4217 alphabetic code, upper case.
    """

    model_config = ConfigDict(frozen=True)

    amount: int = Field(ge=0, strict=True)
    currency: Currency

    def __add__(self, other: Self) -> Money:
        if self.currency != other.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")
        return Money(amount=self.amount + other.amount, currency=self.currency)


@cache
def exponent(currency: str) -> int:
    """How many decimals a currency has by ISO 4217: 2 for EUR, 0 for JPY, 3 for KWD."""
    try:
        listed = iso4217.Currency(currency).exponent
    except ValueError:
        listed = None
    return _USUAL_EXPONENT if listed is None else listed


def to_decimal(amount: int, currency: str) -> Decimal:
    """Minor units as a number of whole units, with all decimals of the currency: 1250 and EUR are 12.50."""
    return Decimal(amount).scaleb(-exponent(currency))


def from_decimal(units: Decimal | float | str, currency: str) -> int:
    """A number of whole units in minor units; parts of a minor unit are cut off."""
    return int(Decimal(str(units)).scaleb(exponent(currency)))


def format_money(amount: int, currency: str) -> str:
    """Minor units as people read them: `EUR 120.00`, `JPY 12000`, `KWD 1.500`."""
    return f"{currency} {to_decimal(amount, currency):f}"
