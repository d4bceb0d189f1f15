"""What clients send to hold places, to pay for them, to exchange a seat and to give tickets back."""

from __future__ import annotations

from typing import Annotated, Final
from unicodedata import normalize
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from api.http.schemas import Phone, ProviderName, RequestModel, ShortText, Storable
from domain.addresses import BadAddress, address_of
from domain.card_numbers import has_card_number
from domain.seats import MAX_PLACES, SeatName


def _composed(name: str) -> str:
    """A place's name as it is stored, however the client composes its letters."""
    return normalize("NFC", name)


class BookingBody(BaseModel):
    """What to hold: named seats, and places of general-admission sections by their number; 1 to 50 together."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "event_id": "01a2077b-abd2-752f-b932-ac8d9ca64bd5",
                    "seats": ["A-1-12"],
                    "quantities": {"Standing": 2},
                }
            ]
        },
    )

    event_id: UUID
    seats: list[Annotated[str, StringConstraints(max_length=80)]] = Field(default=[], max_length=MAX_PLACES)
    quantities: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=60)],
        Annotated[int, Field(ge=1, le=MAX_PLACES, strict=True)],
    ] = Field(default={}, max_length=MAX_PLACES)
    accept_alternatives: Annotated[bool, Field(strict=True)] = Field(
        default=False,
        description="Whether equal seats are acceptable if a late payment finds these seats sold.",
    )

    @field_validator("seats")
    @classmethod
    def _canonical(cls, seats: list[str]) -> list[str]:
        seats = [_composed(name) for name in seats]
        doubled = sorted({name for name in seats if seats.count(name) > 1})
        if doubled:
            raise ValueError(f"repeated: {', '.join(doubled)}")
        return sorted((str(SeatName.parse(name)) for name in seats), key=SeatName.parse)

    @field_validator("quantities")
    @classmethod
    def _sorted(cls, quantities: dict[str, int]) -> dict[str, int]:
        named = {_composed(name): places for name, places in quantities.items()}
        if len(named) < len(quantities):
            raise ValueError("two names are the same section")
        return dict(sorted(named.items()))

    @model_validator(mode="after")
    def _bounded(self) -> BookingBody:
        places = len(self.seats) + sum(self.quantities.values())
        if not 1 <= places <= MAX_PLACES:
            raise ValueError(f"a booking has 1 to {MAX_PLACES} places, this one has {places}")
        return self


def _no_card_number_as_method(method: str) -> str:
    if has_card_number(method):
        # Everything accepted here stays in the saga's history, where a card number must never be.
        raise PydanticCustomError("payment_method", "must be the provider's token, not a card number")
    return method


def _address(text: str) -> str:
    try:
        return address_of(text)
    except BadAddress as error:
        raise PydanticCustomError("email", "{why}", {"why": str(error)}) from None


_Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Storable]
_Email = Annotated[str, StringConstraints(max_length=254), Storable, AfterValidator(_address)]

PaymentMethod = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{2,127}$"), AfterValidator(_no_card_number_as_method)
]
"""A provider's token, never a card number."""


class BuyerBody(RequestModel):
    """The buyer, for the fraud checks of providers that use it (iyzico, PayU). Each field may be left out.

    It is kept sealed, sent to the provider alone together with the address of the request, and erased with the account.

    Attributes:
        name: First names.
        surname: The family name.
        address: Street and number, or what names the building.
    """

    name: _Words | None = Field(default=None, examples=["Ada"])
    surname: _Words | None = Field(default=None, examples=["Lovelace"])
    email: _Email | None = Field(default=None, examples=["ada@example.org"])
    phone: Phone | None = Field(default=None, description="E.164", examples=["+905350000000"])
    identity_number: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{5,50}$")] | None = Field(
        default=None, description="Of a national identity card or passport"
    )
    address: ShortText | None = Field(default=None, examples=["Moda Cd. 1"])
    city: _Words | None = Field(default=None, examples=["Istanbul"])
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = Field(
        default=None, description="ISO 3166-1 alpha-2", examples=["TR"]
    )


_ABOUT_BUYER: Final = "The buyer, for the provider's fraud checks; it does not change a payment that has begun."


class PaymentBody(BaseModel):
    """How to pay; `payment_method` is the provider's token, never a card number. A free booking needs neither."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"provider": "stripe"}]})

    provider: ProviderName | None = Field(
        default=None, description="Needed unless the booking is free; `GET /v1/providers` lists them."
    )
    payment_method: PaymentMethod | None = None
    buyer: BuyerBody | None = Field(default=None, description=_ABOUT_BUYER)


class ExchangeQuoteBody(RequestModel):
    """Which ticket, and for which seat."""

    ticket: UUID
    seat: Annotated[str, StringConstraints(max_length=80)] = Field(examples=["A-1-12"])

    @field_validator("seat")
    @classmethod
    def _canonical(cls, seat: str) -> str:
        return str(SeatName.parse(_composed(seat)))


class ExchangeBody(ExchangeQuoteBody):
    """Which ticket, and for which seat. Where the new seat costs more, `provider` and `payment_method` pay for it."""

    provider: ProviderName | None = None
    payment_method: PaymentMethod | None = None
    buyer: BuyerBody | None = Field(default=None, description=_ABOUT_BUYER)


class RefundQuoteBody(RequestModel):
    """Which tickets: some, or all valid tickets where none are named."""

    tickets: list[UUID] = Field(default=[], max_length=MAX_PLACES)
    waive_policy: bool = Field(
        default=False,
        strict=True,
        description="Support and operators only, and not for bookings of their own: in full and at any time, whatever "
        "the event's policy says.",
    )


class RefundBody(RefundQuoteBody):
    """Which tickets to give back: some, or all valid tickets where none are named."""

    reason: ShortText = Field(examples=["We cannot come."])
