"""The index has each event's newest version, and finds what a buyer expects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from adapters.elasticsearch import EventSearch
from adapters.kafka.cloud_events import CloudEvent
from domain.domain_events import DomainEvent, EventCancelled, EventPublished, SectionOnSale, Venue
from domain.problems import ProblemType, Refused
from domain.search import Place, SearchPage, SearchQuery, SearchSort
from tests.pace import watch
from tests.workers.outside import a_published_event
from workers.consumers.search import Indexer

AMSTERDAM = Venue(name="Paradiso", city="Amsterdam", country="NL", latitude=52.3622, longitude=4.8838)
UTRECHT = Venue(name="TivoliVredenburg", city="Utrecht", country="NL", latitude=52.0929, longitude=5.1143)
ISTANBUL = Venue(name="Zorlu PSM", city="İstanbul", country="TR", latitude=41.0665, longitude=29.0165)


def in_days(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def priced(*prices: int) -> tuple[SectionOnSale, ...]:
    return tuple(SectionOnSale(name=f"S{price}", kind="general", price=price, capacity=9) for price in prices)


CATALOGUE = {
    "sad": a_published_event(name="Sad Songs", venue=AMSTERDAM, starts_at=in_days(3), sections=priced(3000, 5000)),
    "happy": a_published_event(name="Happy Songs", venue=UTRECHT, starts_at=in_days(2), sections=priced(1000)),
    "cafe": a_published_event(
        name="Café Müller dances", category="dance", venue=AMSTERDAM, starts_at=in_days(1), sections=priced(8000)
    ),
    "istanbul": a_published_event(
        name="Songwriters", venue=ISTANBUL, starts_at=in_days(4), sections=priced(200000), currency="TRY"
    ),
    "over": a_published_event(name="Songs of old", starts_at=in_days(-1)),
}


async def index(events: EventSearch, *published: DomainEvent) -> None:
    for event in published:
        await Indexer(events).handle(CloudEvent(uuid4(), "/seatwright/catalogue", in_days(0), uuid4(), 1, event))
    await events._client.indices.refresh(index=events._alias)


@pytest.fixture
async def catalogue(events: EventSearch) -> EventSearch:
    await index(events, *CATALOGUE.values())
    return events


def names(page: SearchPage) -> list[str]:
    known = {event.event_id: name for name, event in CATALOGUE.items()}
    return [known[hit.event_id] for hit in page.hits]


SEARCHES: dict[str, tuple[SearchQuery, set[str]]] = {
    "no search terms: all events that have not begun": (SearchQuery(), {"sad", "happy", "cafe", "istanbul"}),
    "words in other forms": (SearchQuery(q="song"), {"sad", "happy", "istanbul"}),
    "a misspelling": (SearchQuery(q="hapy songs"), {"happy"}),
    "without accents": (SearchQuery(q="cafe muller"), {"cafe"}),
    "the beginning of a word": (SearchQuery(q="songwr"), {"istanbul"}),
    "name and city together": (SearchQuery(q="songs utrecht"), {"happy"}),
    "no match": (SearchQuery(q="zzzz"), set()),
    "a category": (SearchQuery(category="dance"), {"cafe"}),
    "a city, in any case": (SearchQuery(city="amsterdam"), {"sad", "cafe"}),
    "near": (SearchQuery(near=Place(latitude=52.36, longitude=4.88), radius_km=10), {"sad", "cafe"}),
    "a larger radius": (
        SearchQuery(near=Place(latitude=52.36, longitude=4.88), radius_km=60),
        {"sad", "cafe", "happy"},
    ),
    "a lowest price": (SearchQuery(price_min=4000), {"sad", "cafe"}),
    "a lowest price in a currency": (SearchQuery(price_min=4000, currency="TRY"), {"istanbul"}),
    "a currency": (SearchQuery(currency="TRY"), {"istanbul"}),
    "a currency without events": (SearchQuery(currency="JPY", price_max=1), set()),
    "a highest price": (SearchQuery(price_max=3000), {"sad", "happy"}),
    "from": (SearchQuery(starts_from=in_days(3) - timedelta(hours=1)), {"sad", "istanbul"}),
    "past events, if requested": (SearchQuery(starts_from=in_days(-2), starts_to=in_days(0)), {"over"}),
}


async def test_a_search_finds_the_events_that_match(catalogue: EventSearch) -> None:
    wrong: list[str] = []
    for search, (query, expected) in SEARCHES.items():
        page = await catalogue.search(query)
        found = (set(names(page)), page.total, page.next_cursor)
        if found != (expected, len(expected), None):
            wrong.append(f"{search}: {found}")
    assert not wrong, "\n".join(wrong)


SORTS = {
    SearchSort.DATE: ["cafe", "happy", "sad", "istanbul"],
    SearchSort.PRICE: ["happy", "sad", "cafe"],
    SearchSort.DISTANCE: ["happy", "cafe", "sad", "istanbul"],
}


async def test_pages_have_no_gaps_and_no_repetitions(catalogue: EventSearch) -> None:
    near = Place(latitude=UTRECHT.latitude, longitude=UTRECHT.longitude)
    found: dict[SearchSort, list[str]] = {sort: [] for sort in SORTS}
    for sort in SORTS:
        query = SearchQuery(sort=sort, near=near, radius_km=20_000, size=1)
        while True:
            page = await catalogue.search(query)
            found[sort] += names(page)
            if page.next_cursor is None:
                break
            query = query.model_copy(update={"cursor": page.next_cursor})
    assert found == SORTS


async def test_a_result_has_everything_that_a_list_shows(catalogue: EventSearch) -> None:
    page = await catalogue.search(SearchQuery(q="sad", near=Place(latitude=52.0929, longitude=5.1143)))
    (hit,) = page.hits
    sad = CATALOGUE["sad"]
    assert hit.model_dump(exclude={"starts_at_local", "price_min", "price_max", "distance_km"}) == sad.model_dump(
        exclude={"type", "version", "organizer_id", "sections"}
    )
    assert hit.starts_at_local == sad.starts_at
    assert (hit.price_min, hit.price_max) == (3000, 5000)
    assert hit.distance_km == pytest.approx(33.8, abs=0.5)


async def test_a_choice_does_not_filter_its_own_facet(catalogue: EventSearch) -> None:
    page = await catalogue.search(SearchQuery(category="dance"))
    facets = {name: {facet.value: facet.count for facet in values} for name, values in page.facets.items()}
    assert facets == {"category": {"concert": 3, "dance": 1}, "city": {"Amsterdam": 1}, "currency": {"EUR": 1}}


NO_CURSORS = ["x", "e30", "WyJwcmljZSIsMSwyLCJhIl0", "WyJyZWxldmFuY2UiLDFlOTk5LDIsImEiXQ", "W10", "W" * 400]


async def test_a_cursor_that_is_none_is_invalid(catalogue: EventSearch) -> None:
    for cursor in NO_CURSORS:
        with pytest.raises(Refused) as refused:
            await catalogue.search(SearchQuery(cursor=cursor))
        assert refused.value.problem.type is ProblemType.INVALID_REQUEST, cursor


async def test_suggestions_complete_words_of_events_on_sale(catalogue: EventSearch) -> None:
    assert await catalogue.suggest("song") == ["Happy Songs", "Sad Songs", "Songwriters"]
    assert await catalogue.suggest("happy so") == ["Happy Songs"]
    assert await catalogue.suggest("muell") == []
    assert await catalogue.suggest("mul") == ["Café Müller dances"]
    await index(catalogue, EventCancelled(event_id=CATALOGUE["happy"].event_id, version=2))
    assert await catalogue.suggest("happy") == []


async def test_an_older_version_that_arrives_late_does_not_overwrite(events: EventSearch) -> None:
    new = a_published_event(name="New name", version=2)
    old = new.model_copy(update={"name": "Old name", "version": 1})
    await index(events, new, old, new)
    assert [hit.name for hit in (await events.search(SearchQuery())).hits] == ["New name"]


async def test_a_cancelled_event_is_hidden_in_any_order_of_messages(events: EventSearch) -> None:
    orders: list[tuple[EventPublished, EventCancelled]] = []
    for name in ("in order", "in reverse order"):
        event = a_published_event(name=name)
        orders.append((event, EventCancelled(event_id=event.event_id, version=2)))
    await index(events, *orders[0], *reversed(orders[1]))
    assert (await events.search(SearchQuery())).hits == ()
    kept = await events._client.get(index=events._alias, id=str(orders[0][0].event_id))
    assert (kept["_source"]["status"], kept["_source"]["name"]) == ("cancelled", "in order")


async def test_ensuring_the_index_twice_changes_nothing(catalogue: EventSearch) -> None:
    await catalogue.ensure_index()
    assert (await catalogue.search(SearchQuery())).total == 4


async def test_without_elasticsearch_a_search_is_unavailable_at_once() -> None:
    nowhere = EventSearch("http://127.0.0.1:9")
    with watch() as taken:
        for call in (nowhere.search(SearchQuery()), nowhere.suggest("a"), nowhere.put(CATALOGUE["sad"])):
            with pytest.raises(Refused) as refused:
                await call
            assert refused.value.problem.type is ProblemType.UNAVAILABLE
    assert taken.seconds < taken.allows(2)
    await nowhere.close()
