"""Search for events over REST, and suggestions for a search field."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError
from redis.asyncio import Redis

from adapters.elasticsearch import EventSearch
from api.auth.guards import PUBLIC
from api.http.problems import documented
from api.http.resources import part
from api.http.schemas import Storable
from config.settings import Settings
from domain.money import Currency
from domain.problems import ProblemType
from domain.search import MAX_PAGE, MAX_RADIUS_KM, Place, SearchPage, SearchQuery, SearchSort

router = APIRouter(prefix="/v1/search", tags=["search"], dependencies=[PUBLIC])
_PROBLEMS = documented(ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE)

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), Storable]
Question = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), Storable]
MAX_PRICE = 999_999_999_999
"""The highest price of a draft: see `MinorUnits`."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = TypeAdapter[datetime](AwareDatetime)
_WORDS = "must be a day, such as 2030-05-01, or a moment with its UTC offset, such as 2030-05-01T19:30:00+02:00"
# A day begins first at UTC+14, and ends last at UTC-12.
_AHEAD_OF_UTC, _TO_ITS_LAST_END = timedelta(hours=14), timedelta(hours=36)


def _moment_or_day(given: object) -> object:
    try:
        if isinstance(given, str) and _DAY.fullmatch(given.strip()):
            return date.fromisoformat(given.strip())
        return _MOMENT.validate_python(given)
    except ValueError:
        raise PydanticCustomError("time", _WORDS) from None


MomentOrDay = Annotated[AwareDatetime | date, BeforeValidator(_moment_or_day)]
"""A day means the day at the venue, wherever that is."""


class SearchParameters(BaseModel):
    """The query string; `from` and `to` are words of Python, hence the aliases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: Question | None = None
    category: Word | None = None
    city: Word | None = None
    near: Annotated[str, StringConstraints(max_length=60)] | None = Field(
        default=None, description="latitude,longitude", examples=["41.01,28.98"]
    )
    radius_km: float = Field(default=50, gt=0, le=MAX_RADIUS_KM, allow_inf_nan=False)
    currency: Currency | None = Field(
        default=None,
        description="Only events in this currency. If you filter or sort by price without it, the result has only the"
        " currency of the most events; `currency` in the answer says which.",
        examples=["EUR"],
    )
    price_min: int | None = Field(default=None, ge=0, le=MAX_PRICE, description="Minor units of one currency.")
    price_max: int | None = Field(
        default=None, ge=0, le=MAX_PRICE, description="Minor units of one currency; not less than `price_min`."
    )
    starts_from: MomentOrDay | None = Field(
        default=None,
        alias="from",
        description="A moment with its UTC offset, or a day as the venue's calendar has it.",
        examples=["2030-05-01", "2030-05-01T19:30:00+02:00"],
    )
    starts_to: MomentOrDay | None = Field(
        default=None,
        alias="to",
        description="As `from`, and not before it. A day is included; an event at the moment itself is not.",
        examples=["2030-05-31"],
    )
    sort: SearchSort = SearchSort.RELEVANCE
    cursor: Annotated[str, StringConstraints(max_length=500), Storable] | None = None
    size: int = Field(default=20, ge=1, le=MAX_PAGE)

    @field_validator("price_max")
    @classmethod
    def _not_below_the_least(cls, highest: int | None, info: ValidationInfo) -> int | None:
        lowest = info.data.get("price_min")
        if highest is not None and lowest is not None and highest < lowest:
            raise PydanticCustomError("range", "must not be less than price_min")
        return highest

    @field_validator("starts_to")
    @classmethod
    def _not_before_the_start(cls, end: datetime | date | None, info: ValidationInfo) -> datetime | date | None:
        start = info.data.get("starts_from")
        if start is not None and end is not None and _is_after(start, end):
            raise PydanticCustomError("range", "must not be before from")
        return end

    def query(self) -> SearchQuery:
        """The query, with `near` as a place.

        Raises:
            ValueError: `near` is not a place on the map, or fields contradict each other.
        """
        given = self.model_dump(exclude={"near"}, exclude_none=True)
        return SearchQuery(**given, near=Place.parse(self.near) if self.near else None)


def _is_after(start: datetime | date, end: datetime | date) -> bool:
    """Whether no event can be in the range; a day begins and ends at other moments in other places."""
    if isinstance(start, datetime) == isinstance(end, datetime):
        return start > end
    try:
        if isinstance(start, datetime):
            return start > _midnight(end) + _TO_ITS_LAST_END
        return _midnight(start) - _AHEAD_OF_UTC > _midnight(end)
    except OverflowError:  # the first and the last days of the calendar
        return False


def _midnight(day: datetime | date) -> datetime:
    return day if isinstance(day, datetime) else datetime(day.year, day.month, day.day, tzinfo=UTC)


class SuggestionList(BaseModel):
    """Names of events."""

    suggestions: list[str]


async def _query(parameters: Annotated[SearchParameters, Query()]) -> SearchQuery:
    try:
        return parameters.query()
    except ValidationError as error:
        known = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([each | {"loc": ("query", *each["loc"])} for each in known]) from None
    except ValueError as error:
        raise RequestValidationError([{"loc": ("query", "near"), "msg": str(error), "type": "place"}]) from None


async def open_search(settings: Settings, redis: Redis, stack: AsyncExitStack) -> EventSearch:
    """For the search service's processes."""
    search = EventSearch(settings.elasticsearch_url)
    stack.push_async_callback(search.close)
    return search


Events = Annotated[EventSearch, Depends(part(EventSearch))]


@router.get("", name="search_events", summary="Search for events", responses=_PROBLEMS)
async def search(query: Annotated[SearchQuery, Depends(_query)], events: Events) -> SearchPage:
    """Full text, filters, distance, and facets.

    Names are found in any spelling: with or without accents, punctuation and spaces. Cities and categories are, too; a
    facet's `id` is the same for all spellings. To read the next page, send `next_cursor` as `cursor` with the same
    parameters: each event that stays on sale is on exactly one page. Sections and seats:
    `GET /v1/events/{event_id}/seats`.
    """
    return await events.search(query)


@router.get("/suggest", name="suggest_events", summary="Suggest completions for a search field", responses=_PROBLEMS)
async def suggest(q: Annotated[Question, Query(min_length=1)], events: Events) -> SuggestionList:
    """Names of events on sale with words that begin as the words of `q` do, the next event first."""
    return SuggestionList(suggestions=await events.suggest(q))
