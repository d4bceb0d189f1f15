"""What organizers send to draft an event, and how an event is answered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    StringConstraints,
    ValidationInfo,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from adapters.payment.registry import PROVIDERS
from api.http.schemas import MinorUnits, Name, PositiveInt, ProviderName, RequestModel, SectionName, ShortText
from domain.catalogue import MAX_EVENT_PLACES, MAX_SECTIONS, EventPlan, EventStatus, Section
from domain.domain_events import Venue, zone_of_venue
from domain.exchanges import ExchangePolicy
from domain.money import Currency, is_listed
from domain.names import name_key
from domain.refunds import RefundPolicy
from domain.time_zones import TimeZone, on_clock

_LATEST_START = datetime(2200, 1, 1, tzinfo=UTC)


class NewVenue(RequestModel):
    """Where the event takes place; latitude and longitude in degrees (WGS 84)."""

    name: Name = Field(examples=["Zorlu PSM"])
    city: Name = Field(examples=["Istanbul"])
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = Field(
        description="ISO 3166-1 alpha-2", examples=["TR"]
    )
    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False, examples=[41.067])
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False, examples=[29.017])


class NewSeatedSection(RequestModel):
    """A section of numbered seats; a seat is named `section-row-number`. `price` is for one seat, in minor units."""

    name: SectionName = Field(examples=["A"])
    kind: Literal["seated"]
    rows: PositiveInt
    seats_per_row: PositiveInt
    price: MinorUnits

    def section(self) -> Section:
        """The section, with a place for each seat."""
        return Section(**self.model_dump(), capacity=self.rows * self.seats_per_row)


class NewGeneralSection(RequestModel):
    """A section without numbered seats; `price` is for one place, in minor units."""

    name: SectionName = Field(examples=["Standing"])
    kind: Literal["general"]
    capacity: PositiveInt
    price: MinorUnits

    def section(self) -> Section:
        """The section, as the catalogue stores it."""
        return Section(**self.model_dump())


NewSection = Annotated[NewSeatedSection | NewGeneralSection, Field(discriminator="kind")]


class NewRefundPolicy(RequestModel):
    """Whether and when buyers may give tickets back. `until_hours` null: never."""

    until_hours: Annotated[int, Field(ge=0, le=24 * 365, strict=True)] | None = Field(
        default=0, description="Tickets may be given back until this many hours before the event starts.", examples=[24]
    )
    fee_percent: int = Field(
        default=0,
        ge=0,
        le=100,
        strict=True,
        description="The part of each ticket's price that is not refunded.",
        examples=[10],
    )
    fee_fixed: MinorUnits = Field(
        default=0,
        description="An amount of each ticket that is not refunded, on top of the percentage.",
        examples=[150],
    )


class NewExchangePolicy(RequestModel):
    """Whether and when buyers may exchange a seat. `until_hours` null: never."""

    until_hours: Annotated[int, Field(ge=0, le=24 * 365, strict=True)] | None = Field(
        default=0, description="Seats may be exchanged until this many hours before the event starts.", examples=[24]
    )


class NewEvent(RequestModel):
    """What an organizer decides; prices are integer minor units."""

    team_id: UUID | None = Field(default=None, description="A team that you own. The event then belongs to the team.")

    name: Name = Field(examples=["Hamlet"])
    category: Name = Field(examples=["theatre"])
    venue: NewVenue
    starts_at: AwareDatetime = Field(lt=_LATEST_START, examples=["2030-05-01T19:30:00Z"])
    timezone: TimeZone = Field(
        default_factory=zone_of_venue,
        description="The IANA time zone of the venue's clock. Without one, the zone of the venue's coordinates.",
        examples=["Europe/Istanbul"],
    )
    currency: Currency = Field(examples=["EUR"])
    hold_seconds: int = Field(
        ge=1, le=3600, strict=True, description="How long seats are held for a buyer who has not paid.", examples=[600]
    )
    refund_policy: NewRefundPolicy = NewRefundPolicy()
    exchange_policy: NewExchangePolicy = NewExchangePolicy()
    providers: Annotated[list[ProviderName], Field(min_length=1, max_length=len(PROVIDERS))] | None = Field(
        default=None,
        description="The payment providers that buyers may use; null: all that take the currency. Each of them has to"
        " take each price: see `GET /v1/providers`.",
        examples=[["stripe"]],
    )
    sections: list[NewSection] = Field(min_length=1, max_length=MAX_SECTIONS)

    @field_validator("currency")
    @classmethod
    def _can_be_paid_in(cls, currency: str) -> str:
        if not is_listed(currency):
            raise PydanticCustomError("currency", "is not a currency of ISO 4217 that money is paid in")
        return currency

    @field_validator("providers")
    @classmethod
    def _take_the_currency(cls, names: list[str] | None, info: ValidationInfo) -> list[str] | None:
        currency = info.data.get("currency")
        for name in names or ():
            if name not in PROVIDERS:
                raise PydanticCustomError("providers", "unknown; known are {known}", {"known": ", ".join(PROVIDERS)})
            if currency and currency not in PROVIDERS[name].currencies:
                about = {"name": name, "currency": currency}
                raise PydanticCustomError("providers", "{name} does not take {currency}", about)
        return names and sorted(set(names))

    @model_validator(mode="after")
    def _fits(self) -> NewEvent:
        sections = [new.section() for new in self.sections]
        if len({name_key(section.name) for section in sections}) < len(sections):
            raise PydanticCustomError("sections", "two sections have the same name")
        if sum(section.capacity for section in sections) > MAX_EVENT_PLACES:
            raise PydanticCustomError("sections", "an event may have 100,000 places")
        return self

    def plan(self) -> EventPlan:
        """The plan, as the catalogue stores it.

        Raises:
            ValueError: Two sections have the same name, or there are too many places.
        """
        return EventPlan(
            **self.model_dump(exclude={"venue", "sections", "team_id"}),
            venue=Venue(**self.venue.model_dump()),
            sections=tuple(new.section() for new in self.sections),
        )


class CancelBody(RequestModel):
    """Why an event is cancelled. The reason is for the audit log, and operators give it for events of others."""

    reason: ShortText | None = Field(default=None, examples=["The organizer asked us by telephone."])


class EventBody(BaseModel):
    """An event, as it is public once it is published."""

    id: UUID
    organizer_id: UUID
    status: EventStatus
    version: int
    name: str
    category: str
    venue: Venue
    starts_at: AwareDatetime = Field(description="UTC")
    timezone: TimeZone
    currency: Currency
    hold_seconds: int
    refund_policy: RefundPolicy
    exchange_policy: ExchangePolicy
    providers: list[str] | None
    sections: list[Section]

    @computed_field(description="When it begins on the venue's clock, with the offset from UTC.")
    def starts_at_local(self) -> AwareDatetime:
        """When it begins, on the venue's clock."""
        return on_clock(self.starts_at, self.timezone)
