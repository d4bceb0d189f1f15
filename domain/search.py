"""The query and the result of the search for events. Amounts are in minor units, distances in kilometres."""

from __future__ import annotations

from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from domain.domain_events import SectionOnSale, Venue
from domain.money import Currency

MAX_RADIUS_KM = 20_000
MAX_PAGE = 100


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


class SearchQuery(_Frozen):
    """One query. A field that is None does not narrow the result.

    Attributes:
        near: Only events within `radius_km` of it; needed for `sort=distance`.
        price_min: An event fits if it has a price between `price_min` and `price_max`; currencies are not converted.
        starts_from: By default only events that have not begun (Elasticsearch's clock).
        starts_to: Exclusive.
        cursor: `SearchPage.next_cursor` of the previous page; valid only for the same query.
    """

    q: str | None = Field(default=None, max_length=200)
    category: str | None = Field(default=None, max_length=100)
    city: str | None = Field(default=None, max_length=100)
    near: Place | None = None
    radius_km: float = Field(default=50, gt=0, le=MAX_RADIUS_KM)
    price_min: int | None = Field(default=None, ge=0, le=2**63 - 1)
    price_max: int | None = Field(default=None, ge=0, le=2**63 - 1)
    starts_from: AwareDatetime | None = None
    starts_to: AwareDatetime | None = None
    sort: SearchSort = SearchSort.RELEVANCE
    cursor: str | None = Field(default=None, max_length=500)
    size: int = Field(default=20, ge=1, le=MAX_PAGE)

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
    currency: Currency
    price_min: int
    price_max: int
    sections: tuple[SectionOnSale, ...]
    distance_km: float | None = None


class Facet(_Frozen):
    """How many events would match if the query were narrowed to `value`."""

    value: str
    count: int


class SearchPage(_Frozen):
    """One page of the result.

    Attributes:
        total: How many events match, on all pages.
        facets: By field (`category`, `city`). A facet ignores the query's own choice for its field.
        next_cursor: Send it as `cursor` to read the next page; None on the last.
    """

    hits: tuple[SearchHit, ...]
    total: int
    facets: dict[str, tuple[Facet, ...]]
    next_cursor: str | None = None
