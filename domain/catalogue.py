"""Events, from an organizer's draft to publication and cancellation."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from domain.domain_events import SectionOnSale, Venue, zone_of_venue
from domain.exchanges import ExchangePolicy
from domain.money import Currency
from domain.refunds import RefundPolicy
from domain.time_zones import TimeZone

MAX_EVENT_PLACES = 100_000
"""The most places that one event may have."""

MAX_SECTIONS = 100


class EventStatus(StrEnum):
    """The state of an event. Only a published event is on sale, and a cancelled one stays cancelled."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


class EventChange(BaseModel):
    """A change of an event's status.

    Attributes:
        if_version: The version that the caller has read: any other is not changed. None: whatever the version is.
    """

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    if_version: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_version_0_1_0(cls, given: Any) -> Any:
        """Workflows that began with version 0.1.0 send the event's id alone."""
        return {"event_id": given} if isinstance(given, str | UUID) else given


class Section(BaseModel):
    """A part of the venue with one price.

    Attributes:
        price: Minor units a place.
        rows: Together with `seats_per_row` it numbers the seats of a seated section; None for general admission.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Literal["seated", "general"]
    price: int = Field(ge=0)
    capacity: int = Field(ge=1)
    rows: int | None = None
    seats_per_row: int | None = None

    @model_validator(mode="after")
    def _capacity_is_the_sum_of_the_seats(self) -> Self:
        if self.kind == "seated" and self.capacity != (self.rows or 0) * (self.seats_per_row or 0):
            raise ValueError("a seated section has rows of seats, and as many places")
        return self

    def on_sale(self) -> SectionOnSale:
        """The section as other services get it: without the numbering of its seats."""
        return SectionOnSale(name=self.name, kind=self.kind, price=self.price, capacity=self.capacity)


class EventPlan(BaseModel):
    """Everything that an organizer decides about an event.

    Attributes:
        timezone: The zone of the venue's clock, on which people read `starts_at`.
        providers: The payment providers that buyers may use; None for every provider that accepts the currency.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    category: str
    venue: Venue
    starts_at: AwareDatetime
    timezone: TimeZone = Field(default_factory=zone_of_venue)
    currency: Currency
    hold_seconds: int = Field(ge=1)
    refund_policy: RefundPolicy = RefundPolicy()
    exchange_policy: ExchangePolicy = ExchangePolicy()
    providers: tuple[str, ...] | None = Field(default=None, min_length=1)
    sections: tuple[Section, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sections_are_distinct_and_not_too_large(self) -> Self:
        if len({section.name for section in self.sections}) < len(self.sections):
            raise ValueError("two sections have the same name")
        if sum(section.capacity for section in self.sections) > MAX_EVENT_PLACES:
            raise ValueError(f"an event may have at most {MAX_EVENT_PLACES} places")
        return self


class Event(EventPlan):
    """An event of the catalogue.

    Attributes:
        version: Grows with each change.
        was_published: It was public once, and stays visible when it is cancelled.
    """

    id: UUID
    organizer_id: UUID
    status: EventStatus
    version: int
    was_published: bool
