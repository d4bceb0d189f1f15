"""A question in Elasticsearch's language. Scores are steps that depend on the event alone, so that an order lasts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from domain import search_words
from domain.search import Facet, SearchQuery, SearchSort
from domain.search_words import Chunk

Clause = dict[str, Any]
Choices = Mapping[str, Clause]

FACETS: Final = {"category": "category_id", "city": "city_id", "currency": "currency"}
"""The facets, and the field that identifies a value of each."""

ON_SALE: Final[list[Clause]] = [{"term": {"status": "on_sale"}}]
_VALUES = 50
_READ_CLOSELY = 20  # chunks of a question; Elasticsearch bounds the clauses of one
_EPOCH = datetime.fromtimestamp(0, UTC)

# How much better a hit is. Powers of two, so that a better step outweighs all that are worse.
_WHOLE_NAME, _JOINED, _PHRASE, _WORDS, _STEMS = 16, 8, 4, 2, 1


def matching(query: SearchQuery) -> Clause:
    """What a hit's words have to be, and how well they fit."""
    if not query.q:
        return {"match_all": {}}
    found = search_words.asked_chunks(query.q)
    if not found:
        return _scored({"term": {"whole": search_words.whole(query.q)}}, _WHOLE_NAME)
    text = " ".join(word for chunk in found for word in chunk.words)
    return {
        "bool": {
            "filter": _every_chunk(found, tolerant=True),
            "should": [
                _scored({"term": {"whole": search_words.whole(query.q)}}, _WHOLE_NAME),
                _scored(_all_of("joined", text.replace(" ", "")), _JOINED),
                _scored({"match_phrase": {"title": text}}, _PHRASE),
                _scored(_all_of("title", text), _WORDS),
                _scored(_all_of("title.stemmed", text), _STEMS),
            ],
        }
    }


def beginning(q: str) -> Clause:
    """Names with words that begin as those of `q` do."""
    found = search_words.asked_chunks(q)
    if not found:
        return {"term": {"whole": search_words.whole(q)}}
    return {"bool": {"filter": _every_chunk(found, tolerant=False)}}


def _every_chunk(found: list[Chunk], *, tolerant: bool) -> list[Clause]:
    """Each chunk fits by its words, as one word, or as one word together with a neighbour."""
    pairs = search_words.neighbours_joined(found)
    clauses = [
        _any_of(
            [
                *_by_words(" ".join(chunk.words), tolerant=tolerant),
                *(_as_one(joined) for joined in (*chunk.joined, *pairs[max(0, place - 1) : place + 1])),
                *(_as_one(word) for word in chunk.words if len(chunk.words) == 1),
            ]
        )
        for place, chunk in enumerate(found[:_READ_CLOSELY])
    ]
    rest = " ".join(word for chunk in found[_READ_CLOSELY:] for word in chunk.words)
    return [*clauses, _any_of(_by_words(rest, tolerant=tolerant))] if rest else clauses


def _by_words(text: str, *, tolerant: bool) -> list[Clause]:
    beginnings = _all_of("title.beginnings", text)
    if not tolerant:
        return [beginnings]
    misspelt = {"query": text, "operator": "and", "fuzziness": "AUTO:4,8", "prefix_length": 1}
    return [beginnings, {"match": {"words": misspelt}}]


def _as_one(word: str) -> Clause:
    """`spider man` is also found as `Spiderman`, and `spiderman` as `Spider-Man`."""
    return _any_of([_all_of(field, word) for field in ("joined.beginnings", "joined", "title")])


def _all_of(field: str, text: str) -> Clause:
    return {"match": {field: {"query": text, "operator": "and"}}}


def _any_of(clauses: list[Clause]) -> Clause:
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def _scored(clause: Clause, step: int) -> Clause:
    return {"constant_score": {"filter": clause, "boost": step}}


def filters(query: SearchQuery) -> list[Clause]:
    """What a hit has to be besides its words, and besides the chosen facet values."""
    found = [*ON_SALE, *_time(query)]
    if query.price_min is not None:
        found.append({"range": {"price_max": {"gte": query.price_min}}})
    if query.price_max is not None:
        found.append({"range": {"price_min": {"lte": query.price_max}}})
    if query.near:
        found.append({"geo_distance": {"distance": f"{query.radius_km}km", "location": _point(query)}})
    return found


def _time(query: SearchQuery) -> list[Clause]:
    bounds = [_bound(query.starts_from, "gte", "gte"), _bound(query.starts_to, "lt", "lte")]
    if query.starts_from is None:
        bounds.append({"range": {"starts_at": {"gte": "now"}}})
    return [bound for bound in bounds if bound]


def _bound(limit: datetime | date | None, moment: str, day: str) -> Clause | None:
    """A moment on all clocks, or a day as the venue counts it, which ends the range with its last minute."""
    if limit is None:
        return None
    if isinstance(limit, datetime):
        return {"range": {"starts_at": {moment: _millis(limit), "format": "epoch_millis"}}}
    return {"range": {"day": {day: limit.isoformat()}}}


def _millis(moment: datetime) -> int:
    """A moment as milliseconds: Java refuses a UTC offset beyond 18 hours, which clients can send."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def choices(query: SearchQuery) -> Choices:
    """The chosen value of each facet."""
    found: dict[str, Clause | None] = {
        "category": {"term": {"category_id": search_words.asked_key(query.category)}} if query.category else None,
        "city": _in_city(query.city) if query.city else None,
        "currency": {"term": {"currency": query.currency}} if query.currency else None,
    }
    return {name: clause for name, clause in found.items() if clause}


def _in_city(city: str) -> Clause:
    """By one of its names, or by its id."""
    names = {"terms": {"city_names": sorted(search_words.asked_keys(city))}}
    return _any_of([names, {"term": {"city_id": city}}])


def facets(chosen: Choices) -> Clause:
    """Count the values of each facet, and how each is written most often.

    A choice does not filter its own facet, so that its other values stay visible.
    """
    written = {"category": "category", "city": "city", "currency": "currency"}
    return {
        name: {
            "filter": {"bool": {"filter": [clause for other, clause in chosen.items() if other != name]}},
            "aggs": {
                "values": {
                    "terms": {"field": field, "size": _VALUES},
                    "aggs": {"written": {"terms": {"field": written[name], "size": 1}}},
                }
            },
        }
        for name, field in FACETS.items()
    }


def values(aggregation: Any) -> tuple[Facet, ...]:
    """The counted values of a facet."""
    return tuple(
        Facet(id=each["key"], value=each["written"]["buckets"][0]["key"], count=each["doc_count"])
        for each in aggregation["values"]["buckets"]
    )


def order(query: SearchQuery) -> list[Any]:
    """A total order that no other event moves: the score has steps, and the last value is an event's own."""
    first: dict[SearchSort, Any] = {
        SearchSort.RELEVANCE: {"_score": "desc"},
        SearchSort.DATE: {"starts_at": "asc"},
        SearchSort.PRICE: {"price_min": "asc"},
        SearchSort.DISTANCE: _by_distance(query) if query.near else None,
    }
    return [first[query.sort], {"starts_at": "asc"}, {"event_id": "asc"}]


def _by_distance(query: SearchQuery) -> Clause:
    return {"_geo_distance": {"location": _point(query), "order": "asc", "unit": "km"}}


def _point(query: SearchQuery) -> dict[str, float]:
    assert query.near is not None
    return {"lat": query.near.latitude, "lon": query.near.longitude}
