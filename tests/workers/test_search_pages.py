"""Every event is on one page, whatever comes and goes between two pages; prices are compared within one currency."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.elasticsearch import EventSearch
from domain.domain_events import EventCancelled, EventPublished
from domain.problems import ProblemType, Refused
from domain.search import Place, SearchPage, SearchQuery, SearchSort
from tests.workers.outside import a_published_event
from tests.workers.test_search import index, priced

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
HERE = Place(latitude=52.0, longitude=5.0)


def alike(number: int, **more: Any) -> EventPublished:
    return a_published_event(**{"name": f"The Same Songs {number % 3}", "starts_at": SOON} | more)


async def pages(events: EventSearch, query: SearchQuery) -> list[SearchPage]:
    found = [await events.search(query)]
    while found[-1].next_cursor:
        found.append(await events.search(query.model_copy(update={"cursor": found[-1].next_cursor})))
    return found


WALKS: dict[str, dict[str, Any]] = {
    "some words": {"q": "songs"},
    "all words of one of three names": {"q": "the same songs 1"},
    "no question": {},
    "by date": {"sort": SearchSort.DATE},
    "by price": {"sort": SearchSort.PRICE},
    "by distance": {"sort": SearchSort.DISTANCE, "near": HERE, "radius_km": 20_000},
    "a misspelling": {"q": "sogns"},
}


async def test_every_event_is_on_one_page_while_others_come_and_go(events: EventSearch) -> None:
    """All walks take a page at a time, side by side, since making the events takes most of the time."""
    lasting, leaving = [alike(number) for number in range(40)], [alike(number) for number in range(10)]
    await index(events, *lasting, *leaving)
    under_way = {walk: SearchQuery(**question, size=5) for walk, question in WALKS.items()}
    found: dict[str, list[str]] = {walk: [] for walk in WALKS}
    while under_way:
        for walk, query in list(under_way.items()):
            page = await events.search(query)
            found[walk] += [str(hit.event_id) for hit in page.hits]
            if page.next_cursor is None:
                del under_way[walk]
            else:
                under_way[walk] = query.model_copy(update={"cursor": page.next_cursor})
        # New names change how rare each word is, and with it every score that depends on the other events.
        await index(events, *(a_published_event(name="Songs songs songs", starts_at=SOON) for _ in range(3)))
        if leaving:
            await index(events, EventCancelled(event_id=leaving.pop().event_id, version=2))
    everything = {str(event.event_id) for event in lasting}
    named_1 = {str(event.event_id) for number, event in enumerate(lasting) if number % 3 == 1}
    expected = {
        walk: named_1 if question.get("q") == "the same songs 1" else everything for walk, question in WALKS.items()
    }
    assert {walk: len(ids) - len(set(ids)) for walk, ids in found.items()} == dict.fromkeys(WALKS, 0), "found twice"
    assert {walk: expected[walk] - set(ids) for walk, ids in found.items()} == {walk: set() for walk in WALKS}, (
        "missing"
    )


QUESTIONS: list[dict[str, Any]] = [
    {"q": "songs"}, {"q": "same"}, {"category": "concert"}, {"city": "utrecht"}, {"sort": SearchSort.DATE},
    {"sort": SearchSort.PRICE}, {"currency": "EUR"}, {"price_min": 1}, {"price_max": 9000}, {"near": HERE},
    {"near": HERE, "radius_km": 60.0}, {"starts_from": date(2020, 1, 1)}, {"starts_to": date(2199, 1, 1)},
    {"starts_from": datetime(2020, 1, 1, tzinfo=UTC)},
]  # fmt: skip


async def test_a_cursor_belongs_to_its_question(events: EventSearch) -> None:
    await index(events, *(alike(number) for number in range(3)))
    cursor = (await events.search(SearchQuery(size=1))).next_cursor
    assert cursor
    await events.search(SearchQuery(size=2, cursor=cursor))  # the size may change
    for question in QUESTIONS:
        with pytest.raises(Refused) as refused:
            await events.search(SearchQuery(**question, size=1, cursor=cursor))
        assert refused.value.problem.type is ProblemType.INVALID_REQUEST
        assert refused.value.problem.members["errors"][0]["field"] == "query.cursor"


def costing(price: int, currency: str) -> EventPublished:
    return alike(0, sections=priced(price), currency=currency)


PRICES = [
    costing(4500, "EUR"), costing(6000, "EUR"), costing(9000, "EUR"), costing(6000, "JPY"), costing(6400, "KWD"),
]  # fmt: skip


IN_ONE_CURRENCY: list[tuple[dict[str, Any], str | None, list[int]]] = [
    ({"sort": SearchSort.PRICE}, "EUR", [4500, 6000, 9000]),
    ({"price_max": 6500}, "EUR", [4500, 6000]),
    ({"price_min": 5000}, "EUR", [6000, 9000]),
    ({"price_max": 6500, "currency": "JPY"}, "JPY", [6000]),
    ({"sort": SearchSort.PRICE, "currency": "KWD"}, "KWD", [6400]),
    ({"currency": "KWD"}, "KWD", [6400]),
    ({"price_max": 100}, "EUR", []),
    ({"price_max": 100, "q": "nothing"}, None, []),
    ({}, None, [4500, 6000, 6000, 6400, 9000]),
]


async def test_prices_are_compared_within_one_currency_which_is_named(events: EventSearch) -> None:
    await index(events, *PRICES)
    for question, currency, prices in IN_ONE_CURRENCY:
        page = await events.search(SearchQuery(**question))
        found = (page.currency, sorted(hit.price_min for hit in page.hits))
        assert found == (currency, prices), question
        assert currency is None or {hit.currency for hit in page.hits} <= {currency}


async def test_all_pages_compare_prices_in_the_currency_of_the_first(events: EventSearch) -> None:
    await index(events, *PRICES)
    query = SearchQuery(sort=SearchSort.PRICE, size=1)
    first = await events.search(query)
    await index(events, *(costing(10, "JPY") for _ in range(5)))
    rest = await events.search(query.model_copy(update={"cursor": first.next_cursor, "size": 10}))
    assert [hit.price_min for hit in (*first.hits, *rest.hits)] == [4500, 6000, 9000]
    assert rest.currency == "EUR"


RANGES: list[tuple[Any, Any, set[int]]] = [
    (date(2031, 5, 1), date(2031, 5, 1), {1}),
    (date(2031, 5, 1), date(2031, 5, 2), {1, 2}),
    (date(2031, 5, 2), None, {2, 3}),
    (datetime(2031, 5, 1, 23, tzinfo=UTC), date(2031, 5, 2), {1, 2}),
    (date(2031, 5, 2), datetime(2031, 5, 3, tzinfo=UTC), {2}),
    (datetime(2031, 5, 2, tzinfo=UTC), datetime(2031, 5, 3, tzinfo=UTC), {2}),
]


async def test_a_day_is_the_whole_day(events: EventSearch) -> None:
    times = {1: (1, 23), 2: (2, 0), 3: (3, 0)}
    by_day = {
        number: alike(0, starts_at=datetime(2031, 5, day, hour, tzinfo=UTC), timezone="UTC")
        for number, (day, hour) in times.items()
    }
    await index(events, *by_day.values())
    for start, end, expected in RANGES:
        hits = {hit.event_id for hit in (await events.search(SearchQuery(starts_from=start, starts_to=end))).hits}
        assert {day for day, event in by_day.items() if event.event_id in hits} == expected, (start, end)


@pytest.mark.parametrize(
    ("zone", "day", "clock"),
    [
        ("UTC", 1, "2031-05-01T22:30:00+00:00"),
        ("Europe/Amsterdam", 2, "2031-05-02T00:30:00+02:00"),
        ("America/New_York", 1, "2031-05-01T18:30:00-04:00"),
        ("Asia/Kolkata", 2, "2031-05-02T04:00:00+05:30"),
    ],
)
async def test_a_day_is_the_day_at_the_venue(events: EventSearch, zone: str, day: int, clock: str) -> None:
    await index(events, alike(0, starts_at=datetime(2031, 5, 1, 22, 30, tzinfo=UTC), timezone=zone))
    for number in (1, 2):
        chosen = SearchQuery(starts_from=date(2031, 5, number), starts_to=date(2031, 5, number))
        hits = (await events.search(chosen)).hits
        assert [(hit.timezone, hit.model_dump()["starts_at_local"].isoformat()) for hit in hits] == [(zone, clock)] * (
            number == day
        )


FORMER: list[dict[str, Any]] = [
    {
        "event_id": f"0190b6f0-0000-7000-8000-00000000000{n}", "status": "on_sale", "name": "AC/DC", "category": "Rock",
        "venue": "Hall", "city": "Łódź", "country": "PL", "location": {"lat": 51.7, "lon": 19.4}, "currency": "PLN",
        "starts_at": SOON.isoformat(), "price_min": 100, "price_max": 200, "sections": [{"name": "A"}],
    }
    for n in (1, 3)
]  # fmt: skip
"""Documents of version 0.1.0, which had no words of their own."""

GONE = {"event_id": "0190b6f0-0000-7000-8000-000000000002", "status": "cancelled"}


@pytest.fixture
async def former(events: EventSearch) -> AsyncIterator[EventSearch]:
    """A search whose alias and index are still those of version 0.1.0."""
    alias, earlier = f"{events._alias}-old", f"{events._alias}-old-v1"
    client = events._slow
    mappings = {"properties": {"event_id": {"type": "keyword"}}}
    await client.indices.create(index=earlier, aliases={alias: {}}, mappings=mappings)
    search = EventSearch(_url(events), alias)
    search._client = search._slow
    yield search
    await client.indices.delete(index=[earlier, search.index], ignore_unavailable=True)
    await search.close()


async def index_as_before(search: EventSearch, *documents: dict[str, Any]) -> None:
    for each in documents:
        options: dict[str, Any] = {"version": 7, "version_type": "external", "require_alias": True}
        await search._slow.index(index=search._earlier, id=each["event_id"], document=each, **options)


async def test_an_upgrade_copies_the_index_of_the_version_before_which_goes_on_with_it(former: EventSearch) -> None:
    first, second = FORMER
    await index_as_before(former, first, GONE)
    await former.ensure_index()
    await index_as_before(former, second)
    await former.mark_cancelled(UUID(first["event_id"]), 8)
    for _ in range(2):
        await former.ensure_index()
    await former._slow.indices.refresh(index=[former.index, former._earlier])
    hits = (await former.search(SearchQuery(q="acdc", city="lodz"))).hits
    assert [(str(hit.event_id), hit.timezone) for hit in hits] == [(second["event_id"], "Europe/Warsaw")]
    found = [(each.version, each.status) async for each in former.documents(None)]
    assert found == [(8, "cancelled"), (7, "cancelled"), (7, "on_sale")]
    kept = await former._slow.search(index=former._earlier, sort=["event_id"])
    assert [each["_source"] for each in kept["hits"]["hits"]] == [first, GONE, second]


def _url(events: EventSearch) -> str:
    (node,) = events._client.transport.node_pool.all()
    return str(node.base_url)
