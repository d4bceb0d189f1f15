"""What domain events say of an event: its sections, its venue, and the summary that messages show.

Import it from `domain.domain_events`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.time_zones import DEFAULT, TimeZone, zone_of


class SectionOnSale(BaseModel):
    """A section as search and analytics need it; `price` in minor units."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Literal["seated", "general"]
    price: int
    capacity: int


class Venue(BaseModel):
    """Where an event takes place; latitude and longitude in degrees (WGS 84)."""

    model_config = ConfigDict(frozen=True)

    name: str
    city: str
    country: str
    latitude: float
    longitude: float


def zone_of_venue(data: dict[str, Any]) -> str:
    """The time zone of an event for which none is given: that of its venue. `data` holds the event's other fields."""
    venue = data.get("venue")
    return zone_of(venue.latitude, venue.longitude) if venue else DEFAULT


class EventSummary(BaseModel):
    """The event of a booking, as a message to its buyer names it.

    Attributes:
        starts_at: When it begins (UTC).
        timezone: The zone of the venue's clock.
        venue: The venue's name, in `city`; both None for an event that was put on sale before they were copied.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    starts_at: AwareDatetime
    timezone: TimeZone = DEFAULT
    venue: str | None = None
    city: str | None = None
