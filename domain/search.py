"""The query and the result of the search for events. Amounts are in minor units, distances in kilometres."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, computed_field, model_validator

from domain.domain_events import Venue
from domain.money import Currency
from domain.time_zones import TimeZone, on_clock

MAX_RADIUS_KM = 20_000
MAX_PAGE = 100
_EARTH_KM = 6371.0


class SearchSort(StrEnum):
    """The order of the found events. `distance` needs a place to measure from."""

    RELEVANCE = "relevance"
    DATE = "date"
    PRICE = "price"
    DISTANCE = "distance"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Place(_Frozen):
    """A point on the map, in degrees (WGS 84)."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `latitude,longitude`, as in `41.01,28.98`.

        Raises:
            ValueError: The text is not two numbers, or they are not on the map.
        """
        latitude, comma, longitude = text.partition(",")
        if not comma:
            raise ValueError(f"{text!r} is not a place: expected latitude,longitude, such as 41.01,28.98")
        return cls(latitude=float(latitude), longitude=float(longitude))


def kilometres(one: Place, other: Place) -> float:
    """The distance along a great circle (haversine)."""
    a, b = radians(one.latitude), radians(other.latitude)
    latitude, longitude = sin((b - a) / 2), sin(radians(other.longitude - one.longitude) / 2)
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(latitude * latitude + cos(a) * cos(b) * longitude * longitude)))


class SearchQuery(_Frozen):
    """One query. A field that is None does not narrow the result.

    Attributes:
        near: Only events within `radius_km` of it; needed for `sort=distance`.
        category: Any spelling of its name, or its id.
        city: Any spelling of one of its names, or its id.
        price_min: An event fits if it has a price between `price_min` and `price_max`, in minor units of one currency.
        currency: Where prices are compared without it, they are compared in the currency of the most events.
        starts_from: A moment, or a day at the venue. By default events that have not begun (Elasticsearch's clock).
        starts_to: A moment, exclusive, or a day at the venue, inclusive.
        cursor: `SearchPage.next_cursor` of the previous page; valid only for the same query.
    """

    q: str | None = Field(default=None, max_length=200)
    category: str | None = Field(default=None, max_length=100)
    city: str | None = Field(default=None, max_length=100)
    near: Place | None = None
    radius_km: float = Field(default=50, gt=0, le=MAX_RADIUS_KM)
    price_min: int | None = Field(default=None, ge=0, le=2**63 - 1)
    price_max: int | None = Field(default=None, ge=0, le=2**63 - 1)
    currency: Currency | None = None
    starts_from: AwareDatetime | date | None = None
    starts_to: AwareDatetime | date | None = None
    sort: SearchSort = SearchSort.RELEVANCE
    cursor: str | None = Field(default=None, max_length=500)
    size: int = Field(default=20, ge=1, le=MAX_PAGE)

    @property
    def compares_prices(self) -> bool:
        """Whether the result depends on prices, which only one currency's events have in common."""
        return self.sort is SearchSort.PRICE or self.price_min is not None or self.price_max is not None

    @model_validator(mode="after")
    def _distance_from_where(self) -> Self:
        if self.sort is SearchSort.DISTANCE and self.near is None:
            raise ValueError("sort=distance needs near")
        return self


class SearchHit(_Frozen):
    """One event that matches.

    Attributes:
        distance_km: The distance from `SearchQuery.near`, if that was given.
    """

    event_id: UUID
    name: str
    category: str
    venue: Venue
    starts_at: AwareDatetime
    timezone: TimeZone
    currency: Currency
    price_min: int
    price_max: int
    distance_km: float | None = None

    @computed_field(description="When it begins on the venue's clock, with the offset from UTC.")
    def starts_at_local(self) -> AwareDatetime:
        """The beginning on the venue's clock."""
        return on_clock(self.starts_at, self.timezone)


class Facet(_Frozen):
    """How many events would match if the query were narrowed to `value`.

    Attributes:
        id: The same for all its spellings; the filter of this field takes it, too.
        value: As most of these events spell it.
    """

    id: str
    value: str
    count: int


class SearchPage(_Frozen):
    """One page of the result.

    Attributes:
        total: How many events match, on all pages.
        facets: By field (`category`, `city`, `currency`). A facet ignores the query's own choice for its field.
        currency: The only one in the result, where prices are compared or a currency is chosen; else None.
        next_cursor: Send it as `cursor` to read the next page; None on the last.
    """

    hits: tuple[SearchHit, ...]
    total: int
    facets: dict[str, tuple[Facet, ...]]
    currency: str | None = None
    next_cursor: str | None = None
