"""The search index: one document for each event, always in its newest version, and the searches in it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from math import asin, cos, radians, sin, sqrt
from typing import Any, NamedTuple
from uuid import UUID

from elasticsearch import ApiError, AsyncElasticsearch, BadRequestError, ConflictError, NotFoundError, TransportError

from domain.domain_events import EventPublished
from domain.problems import ProblemType, Refused
from domain.search import Facet, Place, SearchHit, SearchPage, SearchQuery, SearchSort

ALIAS = "events"
_FACETS = ("category", "city")
_FACET_VALUES = 50
_SUGGESTIONS = 10
_PAGE = 1000
_EARTH_KM = 6371.0
_EPOCH = datetime.fromtimestamp(0, UTC)

# Only features of both the full distribution and the one from Maven: no search_as_you_type, scaled_float or scripts.
_SETTINGS: dict[str, Any] = {
    "analysis": {
        "filter": {"beginnings": {"type": "edge_ngram", "min_gram": 1, "max_gram": 20}},
        "analyzer": {
            "folded": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding"]},
            "stemmed": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding", "porter_stem"]},
            "beginnings": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding", "beginnings"]},
        },
    },
}
_KEYWORD = {"type": "keyword", "ignore_above": 256}
_STORED = {"type": "object", "enabled": False}
_MAPPINGS: dict[str, Any] = {
    "dynamic": "strict",
    "properties": {
        "event_id": {"type": "keyword"},
        "status": {"type": "keyword"},
        "name": {
            "type": "text",
            "analyzer": "folded",
            "copy_to": "words",
            "fields": {
                "stemmed": {"type": "text", "analyzer": "stemmed"},
                "beginnings": {"type": "text", "analyzer": "beginnings", "search_analyzer": "folded"},
            },
        },
        "category": _KEYWORD | {"copy_to": "words"},
        "venue": {"type": "text", "analyzer": "folded", "copy_to": "words"},
        "city": _KEYWORD | {"copy_to": "words", "fields": {"text": {"type": "text", "analyzer": "folded"}}},
        "country": _KEYWORD,
        "words": {"type": "text", "analyzer": "stemmed"},
        "location": {"type": "geo_point"},
        "starts_at": {"type": "date"},
        "currency": {"type": "keyword"},
        "price_min": {"type": "long"},
        "price_max": {"type": "long"},
        "sections": _STORED,
    },
}


class IndexedEvent(NamedTuple):
    """An event in the index."""

    event_id: str
    version: int
    status: str


class EventSearch:
    """Reads and writes the events that are on sale.

    Every method raises `Refused` as UNAVAILABLE if Elasticsearch does not answer.
    """

    def __init__(self, url: str, alias: str = ALIAS) -> None:
        self._client = AsyncElasticsearch(url, request_timeout=1.8, max_retries=0)
        self._slow = self._client.options(request_timeout=20)
        self._alias = alias

    async def close(self) -> None:
        """Close the connections to Elasticsearch."""
        await self._client.close()

    async def ensure_index(self) -> None:
        """Create the index behind its alias, unless it exists."""
        index = f"{self._alias}-v1"
        async with _unavailable():
            try:
                await self._slow.indices.create(
                    index=index, settings=_SETTINGS, mappings=_MAPPINGS, aliases={self._alias: {}}
                )
            except BadRequestError as error:
                if error.error != "resource_already_exists_exception":
                    raise
            await self._slow.cluster.health(index=index, wait_for_status="yellow", timeout="15s")

    async def put(self, event: EventPublished) -> None:
        """Index an event, unless the index has this version or a newer one."""
        await self._write(event.event_id, event.version, _document(event))

    async def mark_cancelled(self, event_id: UUID, version: int) -> None:
        """Hide an event from every result, unless the index has a newer version; the event may be missing."""
        known: dict[str, Any] = {}
        async with _unavailable():
            try:
                known = (await self._slow.get(index=self._alias, id=str(event_id)))["_source"]
            except NotFoundError as error:
                if error.info.get("found") is not False:
                    raise
        await self._write(event_id, version, known | {"event_id": str(event_id), "status": "cancelled"})

    async def search(self, query: SearchQuery) -> SearchPage:
        """Find one page of events.

        Raises:
            Refused: INVALID_REQUEST for a cursor that is not from this search.
        """
        after = _read_cursor(query) if query.cursor else None
        async with _unavailable():
            try:
                answer = await self._client.search(
                    index=self._alias,
                    query={"bool": {"must": _full_text(query), "filter": _filters(query)}},
                    post_filter={"bool": {"filter": _chosen(query)}},
                    aggs=_facets(query),
                    sort=_sort(query),
                    search_after=after,
                    size=query.size + 1,
                    track_total_hits=True,
                )
            except BadRequestError:
                if after:
                    raise _bad_cursor() from None
                raise
        found = answer["hits"]["hits"]
        shown = found[: query.size]
        more = len(found) > query.size
        return SearchPage(
            hits=tuple(_hit(each, query) for each in shown),
            total=answer["hits"]["total"]["value"],
            facets={name: _values(answer["aggregations"][name]) for name in _FACETS},
            next_cursor=_cursor(query, shown[-1]["sort"]) if more else None,
        )

    async def suggest(self, q: str) -> list[str]:
        """Names of events on sale with words that begin with those of `q`, the next event first."""
        words = {"match": {"name.beginnings": {"query": q, "operator": "and"}}}
        async with _unavailable():
            answer = await self._client.search(
                index=self._alias,
                query={"bool": {"must": words, "filter": [*_ON_SALE, {"range": {"starts_at": {"gte": "now"}}}]}},
                sort=["starts_at", "event_id"],
                source_includes=["name"],
                size=5 * _SUGGESTIONS,
            )
        names = dict.fromkeys(hit["_source"]["name"] for hit in answer["hits"]["hits"])
        return list(names)[:_SUGGESTIONS]

    async def documents(self, event_ids: Iterable[UUID] | None) -> AsyncIterator[IndexedEvent]:
        """The indexed documents of some events, or of all events."""
        chosen = {"match_all": {}} if event_ids is None else {"ids": {"values": [str(event) for event in event_ids]}}
        after: Sequence[Any] | None = None
        while True:
            async with _unavailable():
                page = await self._slow.search(
                    index=self._alias,
                    query=chosen,
                    source_includes=["status"],
                    sort=[{"event_id": "asc"}],
                    search_after=after,
                    size=_PAGE,
                    version=True,
                )
            for found in page["hits"]["hits"]:
                yield IndexedEvent(found["_id"], found["_version"], found["_source"]["status"])
                after = found["sort"]
            if len(page["hits"]["hits"]) < _PAGE:
                return

    async def _write(self, event_id: UUID, version: int, document: dict[str, Any]) -> None:
        # A conflict means that the index has this version or a newer one.
        async with _unavailable():
            with suppress(ConflictError):
                await self._slow.index(
                    index=self._alias,
                    id=str(event_id),
                    document=document,
                    version=version,
                    version_type="external",
                    require_alias=True,
                )


@asynccontextmanager
async def _unavailable() -> AsyncIterator[None]:
    try:
        yield
    except TransportError as error:
        raise Refused(ProblemType.UNAVAILABLE, "Search is not available right now.") from error
    except ApiError as error:
        if error.status_code in (404, 429) or error.status_code >= 500:
            raise Refused(ProblemType.UNAVAILABLE, "Search is not available right now.") from error
        raise


_ON_SALE: list[dict[str, Any]] = [{"term": {"status": "on_sale"}}]


def _document(event: EventPublished) -> dict[str, Any]:
    prices = [section.price for section in event.sections]
    return {
        "event_id": str(event.event_id),
        "status": "on_sale",
        "name": event.name,
        "category": event.category,
        "venue": event.venue.name,
        "city": event.venue.city,
        "country": event.venue.country,
        "location": {"lat": event.venue.latitude, "lon": event.venue.longitude},
        "starts_at": event.starts_at.isoformat(),
        "currency": event.currency,
        "price_min": min(prices),
        "price_max": max(prices),
        "sections": [section.model_dump() for section in event.sections],
    }


def _full_text(query: SearchQuery) -> dict[str, Any]:
    if not query.q:
        return {"match_all": {}}
    tolerant = {"operator": "and", "fuzziness": "AUTO:4,8", "prefix_length": 1}
    every_word = {"match": {"words": {"query": query.q, **tolerant}}}
    beginnings = {"match": {"name.beginnings": {"query": query.q, "operator": "and"}}}
    exact = {"match": {"name": {"query": query.q, "boost": 3}}}
    return {
        "bool": {
            "must": {"bool": {"should": [every_word, beginnings], "minimum_should_match": 1}},
            "should": [exact, {"match": {"name.stemmed": query.q}}, {"match_phrase": {"name": query.q}}],
        }
    }


def _filters(query: SearchQuery) -> list[dict[str, Any]]:
    starts: dict[str, Any] = {"gte": _millis(query.starts_from) if query.starts_from else "now"}
    if query.starts_to:
        starts["lt"] = _millis(query.starts_to)
    starts["format"] = "epoch_millis"
    filters = [*_ON_SALE, {"range": {"starts_at": starts}}]
    if query.price_min is not None:
        filters.append({"range": {"price_max": {"gte": query.price_min}}})
    if query.price_max is not None:
        filters.append({"range": {"price_min": {"lte": query.price_max}}})
    if query.near:
        filters.append({"geo_distance": {"distance": f"{query.radius_km}km", "location": _point(query)}})
    return filters


def _millis(moment: datetime) -> int:
    """A moment as milliseconds: Java refuses a UTC offset beyond 18 hours, which clients can send."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _chosen(query: SearchQuery, *, but: str | None = None) -> list[dict[str, Any]]:
    """The chosen facet values. A choice does not filter its own facet, so that its other values stay visible."""
    choices = {name: getattr(query, name) for name in _FACETS if name != but}
    return [{"term": {name: {"value": value, "case_insensitive": True}}} for name, value in choices.items() if value]


def _facets(query: SearchQuery) -> dict[str, Any]:
    return {
        name: {
            "filter": {"bool": {"filter": _chosen(query, but=name)}},
            "aggs": {"values": {"terms": {"field": name, "size": _FACET_VALUES}}},
        }
        for name in _FACETS
    }


def _values(aggregation: Any) -> tuple[Facet, ...]:
    return tuple(Facet(value=each["key"], count=each["doc_count"]) for each in aggregation["values"]["buckets"])


def _sort(query: SearchQuery) -> list[Any]:
    first: dict[SearchSort, Any] = {
        SearchSort.RELEVANCE: {"_score": "desc"},
        SearchSort.DATE: {"starts_at": "asc"},
        SearchSort.PRICE: {"price_min": "asc"},
        SearchSort.DISTANCE: _by_distance(query) if query.near else None,
    }
    return [first[query.sort], {"starts_at": "asc"}, {"event_id": "asc"}]


def _by_distance(query: SearchQuery) -> dict[str, Any]:
    return {"_geo_distance": {"location": _point(query), "order": "asc", "unit": "km"}}


def _point(query: SearchQuery) -> dict[str, float]:
    assert query.near is not None
    return {"lat": query.near.latitude, "lon": query.near.longitude}


def _hit(found: Any, query: SearchQuery) -> SearchHit:
    source = found["_source"]
    venue = {"name": source["venue"], "city": source["city"], "country": source["country"]}
    place = {"latitude": source["location"]["lat"], "longitude": source["location"]["lon"]}
    distance = _kilometres(query.near, Place.model_validate(place)) if query.near else None
    return SearchHit.model_validate(source | {"venue": venue | place, "distance_km": distance})


def _kilometres(one: Place, other: Place) -> float:
    """Along a great circle (haversine)."""
    a, b = radians(one.latitude), radians(other.latitude)
    latitude, longitude = sin((b - a) / 2), sin(radians(other.longitude - one.longitude) / 2)
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(latitude * latitude + cos(a) * cos(b) * longitude * longitude)))


def _cursor(query: SearchQuery, values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([query.sort, *values]).encode()).decode().rstrip("=")


def _read_cursor(query: SearchQuery) -> list[Any]:
    assert query.cursor is not None
    try:
        text = query.cursor + "=" * (-len(query.cursor) % 4)
        values: list[Any]
        sort, *values = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
        if sort != query.sort or len(values) != 3 or not _are_sort_values(values):
            raise ValueError("from another search")
    except (ValueError, TypeError, binascii.Error):
        raise _bad_cursor() from None
    return values


def _bad_cursor() -> Refused:
    return Refused(ProblemType.INVALID_REQUEST, "The cursor is not from this search.")


def _are_sort_values(values: Sequence[Any]) -> bool:
    first, starts_at, event_id = values
    return isinstance(first, int | float) and isinstance(starts_at, int) and isinstance(event_id, str)
