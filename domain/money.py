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
def _listed_exponent(currency: str) -> int | None:
    try:
        return iso4217.Currency(currency).exponent
    except ValueError:
        return None


def is_listed(currency: str) -> bool:
    """Whether ISO 4217 lists it as a currency with a minor unit.

    It does not list ZZZ or withdrawn ones (BGN), and "no currency" (XXX), tests (XTS) and gold (XAU) have none.
    """
    return _listed_exponent(currency) is not None


def exponent(currency: str) -> int:
    """How many decimals a currency has by ISO 4217: 2 for EUR, 0 for JPY, 3 for KWD."""
    listed = _listed_exponent(currency)
    return _USUAL_EXPONENT if listed is None else listed


def to_decimal(amount: int, currency: str) -> Decimal:
    """Minor units as a number of whole units, with all decimals of the currency: 1250 and EUR are 12.50."""
    return Decimal(amount).scaleb(-exponent(currency))


def format_money(amount: int, currency: str) -> str:
    """Minor units as people read them: `EUR 120.00`, `JPY 12000`, `KWD 1.500`."""
    return f"{currency} {to_decimal(amount, currency):f}"


def rescale(amount: int | Decimal, decimals: int, into: int) -> Decimal:
    """An amount that is counted in units of 10^-`decimals`, counted in units of 10^-`into`: 33 of 0 are 3300 of 2."""
    return Decimal(amount).scaleb(into - decimals)


def round_up(amount: int, step: int) -> int:
    """The smallest multiple of `step` that is not less: what goes back to a buyer is rounded in the buyer's favour."""
    return -(-amount // step) * step


def round_fee(price: int, fee: int, step: int) -> int:
    """The fee that is kept of a price so that the provider can pay the rest: never more than `fee` or `price`.

    Args:
        price: Minor units that were paid.
        fee: Minor units that a policy would keep.
        step: The provider pays only multiples of it (minor units).
    """
    back = min(round_up(max(price - fee, 0), step), price - price % step)
    return price - back
