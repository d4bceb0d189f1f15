"""Money as integer minor units with an ISO 4217 code; a bad amount cannot be made."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

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
