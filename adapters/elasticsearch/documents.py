"""What the index keeps of an event: what a hit shows, and the words and keys by which it is found."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from domain import search_words
from domain.domain_events import EventPublished
from domain.search import Place, SearchHit, SearchQuery, kilometres
from domain.time_zones import on_clock, zone_of

# Only features of both the full distribution and the one from Maven: no search_as_you_type, scaled_float or scripts.
# What is analysed has been through `domain.search_words`: an analyzer only takes it apart.
SETTINGS: Final[dict[str, Any]] = {
    "analysis": {
        "filter": {"beginnings": {"type": "edge_ngram", "min_gram": 1, "max_gram": 20}},
        "analyzer": {
            "plain": {"tokenizer": "standard", "filter": ["lowercase"]},
            "stemmed": {"tokenizer": "standard", "filter": ["lowercase", "porter_stem"]},
            "beginnings": {"tokenizer": "standard", "filter": ["lowercase", "beginnings"]},
        },
    },
}
_SHOWN: Final[dict[str, Any]] = {"type": "keyword", "index": False, "doc_values": False}
_KEYWORD: Final[dict[str, Any]] = {"type": "keyword", "ignore_above": 256}
_COUNTED: Final[dict[str, Any]] = {"type": "keyword", "index": False}
_BEGINNINGS: Final[dict[str, Any]] = {"type": "text", "analyzer": "beginnings", "search_analyzer": "plain"}
MAPPINGS: Final[dict[str, Any]] = {
    "dynamic": "strict",
    "properties": {
        "event_id": {"type": "keyword"},
        "status": {"type": "keyword"},
        "name": _SHOWN,
        "category": _COUNTED,
        "venue": _SHOWN,
        "city": _COUNTED,
        "country": _SHOWN,
        "location": {"type": "geo_point"},
        "starts_at": {"type": "date"},
        "timezone": _SHOWN,
        "currency": {"type": "keyword"},
        "price_min": {"type": "long"},
        "price_max": {"type": "long"},
        # By what it is found:
        "title": {
            "type": "text",
            "analyzer": "plain",
            "fields": {"stemmed": {"type": "text", "analyzer": "stemmed"}, "beginnings": _BEGINNINGS},
        },
        "joined": {"type": "text", "analyzer": "plain", "fields": {"beginnings": _BEGINNINGS}},
        "words": {"type": "text", "analyzer": "stemmed"},
        "whole": _KEYWORD,
        "category_id": _KEYWORD,
        "city_id": _KEYWORD,
        "city_names": _KEYWORD,
        "day": {"type": "date", "format": "strict_date"},
    },
}
SHOWN: Final = (
    "event_id", "name", "category", "venue", "city", "country", "location", "starts_at", "timezone", "currency",
    "price_min", "price_max",
)  # fmt: skip

_WRITE_UMLAUTS_AS_TWO: Final = frozenset({"AT", "CH", "DE", "DK", "EE", "FI", "FO", "GL", "IS", "LI", "LU", "NO", "SE"})
"""Countries where `Koeln` is `Köln` and `Aarhus` is `Århus`; elsewhere `oe` and `ue` are two sounds (`Goes`)."""


def document(event: EventPublished) -> dict[str, Any]:
    """An event that is on sale, as the index keeps it."""
    prices = [section.price for section in event.sections]
    shown = {
        "event_id": str(event.event_id),
        "status": "on_sale",
        "name": event.name,
        "category": event.category,
        "venue": event.venue.name,
        "city": event.venue.city,
        "country": event.venue.country,
        "location": {"lat": event.venue.latitude, "lon": event.venue.longitude},
        "starts_at": event.starts_at.isoformat(),
        "timezone": event.timezone,
        "currency": event.currency,
        "price_min": min(prices),
        "price_max": max(prices),
    }
    return shown | _found_by(shown)


def rebuilt(source: dict[str, Any]) -> dict[str, Any]:
    """A document of an earlier index, as this one keeps it; one that was only ever cancelled has no name."""
    shown: dict[str, Any] = {name: source[name] for name in (*SHOWN, "status") if name in source}
    if "name" not in shown:
        return shown
    shown.setdefault("timezone", zone_of(shown["location"]["lat"], shown["location"]["lon"]))
    return {**shown, **_found_by(shown)}


def _found_by(shown: dict[str, Any]) -> dict[str, Any]:
    joined = search_words.joined_words(shown["name"])
    texts = (shown["name"], shown["category"], shown["venue"], shown["city"])
    city = _city_key(shown["city"], shown["country"])
    return {
        "title": " ".join(search_words.words(shown["name"])),
        "joined": " ".join(joined),
        "words": " ".join([*(word for text in texts for word in search_words.words(text)), *joined]),
        "whole": search_words.whole(shown["name"]),
        "category_id": search_words.key(shown["category"]),
        "city_id": f"{shown['country']}:{city}",
        "city_names": sorted(search_words.keys(shown["city"]) | {city}),
        "day": on_clock(datetime.fromisoformat(shown["starts_at"]), shown["timezone"]).date().isoformat(),
    }


def _city_key(city: str, country: str) -> str:
    return search_words.plain_key(city) if country in _WRITE_UMLAUTS_AS_TWO else search_words.key(city)


def hit(found: Any, query: SearchQuery) -> SearchHit:
    """A found document as a hit."""
    source = found["_source"]
    venue = {"name": source["venue"], "city": source["city"], "country": source["country"]}
    place = {"latitude": source["location"]["lat"], "longitude": source["location"]["lon"]}
    distance = kilometres(query.near, Place.model_validate(place)) if query.near else None
    return SearchHit.model_validate(source | {"venue": venue | place, "distance_km": distance})
