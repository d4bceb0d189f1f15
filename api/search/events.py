"""Search for events over REST, and suggestions for a search field."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from redis.asyncio import Redis

from adapters.elasticsearch import EventSearch
from api.auth.guards import PUBLIC
from api.http.problems import documented
from api.http.resources import part
from api.http.schemas import Storable
from config.settings import Settings
from domain.problems import ProblemType
from domain.search import MAX_PAGE, MAX_RADIUS_KM, Place, SearchPage, SearchQuery, SearchSort

router = APIRouter(prefix="/v1/search", tags=["search"], dependencies=[PUBLIC])
_PROBLEMS = documented(ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE)

Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), Storable]
Question = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), Storable]
MAX_PRICE = 2**31 - 1


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
    price_min: int | None = Field(default=None, ge=0, le=MAX_PRICE, description="Minor units.")
    price_max: int | None = Field(default=None, ge=0, le=MAX_PRICE, description="Minor units.")
    starts_from: AwareDatetime | None = Field(default=None, alias="from")
    starts_to: AwareDatetime | None = Field(default=None, alias="to")
    sort: SearchSort = SearchSort.RELEVANCE
    cursor: Annotated[str, StringConstraints(max_length=500), Storable] | None = None
    size: int = Field(default=20, ge=1, le=MAX_PAGE)

    def query(self) -> SearchQuery:
        """The query, with `near` as a place.

        Raises:
            ValueError: `near` is not a place on the map, or fields contradict each other.
        """
        given = self.model_dump(exclude={"near"}, exclude_none=True)
        return SearchQuery(**given, near=Place.parse(self.near) if self.near else None)


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
    """Full text, filters, distance, and facets. Send `next_cursor` as `cursor` to read the next page."""
    return await events.search(query)


@router.get("/suggest", name="suggest_events", summary="Suggest completions for a search field", responses=_PROBLEMS)
async def suggest(q: Annotated[Question, Query(min_length=1)], events: Events) -> SuggestionList:
    """Names of events on sale with words that begin as the words of `q` do, the next event first."""
    return SuggestionList(suggestions=await events.suggest(q))
