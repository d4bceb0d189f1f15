"""A name is found and suggested in every spelling, and a city is one city under all of its names."""

# ruff: noqa: RUF001 - letters that look alike are the subject

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest

from adapters.elasticsearch import EventSearch
from domain.domain_events import EventPublished, Venue
from domain.search import SearchQuery
from tests.workers.outside import a_published_event
from tests.workers.test_search import index

SOON = datetime.now(UTC) + timedelta(days=1)


def named(name: str, city: str = "Utrecht", country: str = "NL", category: str = "concert") -> EventPublished:
    venue = Venue(name="Hall", city=city, country=country, latitude=52.0, longitude=5.0)
    return a_published_event(name=name, category=category, venue=venue, starts_at=SOON)


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


NAMES = [
    ("AC/DC", ["acdc", "ac/dc", "AC-DC", "ac dc", "acd", "AC⚡DC"]),
    ("Spider-Man: No Way Home", ["spiderman", "Spider Man", "spider-man", "spiderm", "spiderman home"]),
    ("Spiderman returns", ["spider-man", "spider man", "spider man returns"]),
    ("Ke$ha", ["kesha", "ke$ha", "KESHA", "kes"]),
    ("P!nk", ["pink", "p!nk"]),
    ("A$AP Rocky", ["asap rocky", "asap"]),
    ("Deadmau5", ["deadmaus", "deadmau5"]),
    ("Blink-182", ["blink182", "blink 182", "blink-182", "Blink–182"]),
    ("R.E.M.", ["rem", "R.E.M", "r e m", "REM"]),
    ("Sinéad O'Connor", ["connor", "O Connor", "O`Connor", "O’Connor", "oʼconnor", "oconnor", "sinead oconnor"]),
    ("Sinéad O\u02bcConnor", ["connor", "o'connor", "O Connor", "oconnor"]),
    ("Sinead OConnor", ["o'connor", "sinead o connor"]),
    (decomposed("Dvořák: Rusalka"), ["Dvořák", decomposed("Dvořák"), "dvorak", "DVORAK rusalka"]),
    ("Dvořák: Rusalka", [decomposed("dvořák"), "dvorak"]),
    (decomposed("أُمّ كُلْثُوم"), ["أم كلثوم", "ام كلثوم", decomposed("أمّ كلثوم")]),
    (decomposed("Nguyễn Đức Cường"), ["Nguyễn Đức", "nguyen duc cuong", decomposed("nguyễn")]),
    ("Чайковский: Щелкунчик", ["чайковский", decomposed("чайковский"), "ЩЕЛКУНЧИК"]),
    ("Μίκης Θεοδωράκης", ["ΜΙΚΗΣ ΘΕΟΔΩΡΑΚΗΣ", "θεοδωρακης"]),
    ("久石譲 Joe Hisaishi", ["久石", "hisaishi"]),
    ("한국 오페라", [decomposed("한국"), "오페라"]),
    ("!!!", ["!!!"]),
    ("İSTANBUL Flüstern", ["istanbul", "flustern", "İstanbul flüstern"]),
    ("Straße der Lieder", ["strasse", "STRASSE"]),
    ("Mø & Ægir", ["mo", "aegir"]),
]
CASES = [(name, question) for name, questions in NAMES for question in questions]
OTHERS = ["Sad Songs", "Ave Maria", "Kecak", "Remix Night", "Connie", "1984", "Hello! World"]


@pytest.fixture
async def names(events: EventSearch) -> EventSearch:
    await index(events, *(named(name) for name, _ in NAMES), *map(named, OTHERS))
    return events


async def found(events: EventSearch, question: str) -> list[str]:
    return [hit.name for hit in (await events.search(SearchQuery(q=question, size=100))).hits]


async def test_a_name_is_found_in_every_spelling(names: EventSearch) -> None:
    assert [case for case in CASES if case[0] not in await found(names, case[1])] == []


async def test_a_name_is_suggested_in_every_spelling(names: EventSearch) -> None:
    assert [case for case in CASES if case[0] not in await names.suggest(case[1])] == []


async def test_another_name_is_neither_found_nor_suggested(names: EventSearch) -> None:
    others = ["abba", "batman", "blink 183", "o'brien", "дворак", "dc spider", "???"]
    assert {question: hits for question in others if (hits := await found(names, question))} == {}
    others += ["acdx", "spiderwoman", "kexha"]  # which a search takes for a misspelling
    assert {question: hits for question in others if (hits := await names.suggest(question))} == {}


async def test_the_whole_name_comes_before_names_that_only_have_its_words(events: EventSearch) -> None:
    names = ["A night of songs, sad and old", "Sad Songs", "Songs that are sad", "Sad Songs and more"]
    await index(events, *map(named, names))
    hits = await found(events, "sad songs")
    assert hits[:2] == ["Sad Songs", "Sad Songs and more"]
    assert set(hits) == set(names)


CITIES = [
    ("İstanbul", "TR", ["istanbul", "ISTANBUL", "İSTANBUL", decomposed("İstanbul")], ["Istanbul", "ISTANBUL"]),
    ("İzmir", "TR", ["izmir", "Izmir", "ızmır"], ["Izmir", decomposed("İzmir")]),
    ("München", "DE", ["munchen", "MUENCHEN", decomposed("München")], ["Munchen", "MÜNCHEN", "Muenchen"]),
    ("Koeln", "DE", ["koln", "KÖLN"], ["Köln", decomposed("Köln")]),
    ("Neuenkirchen", "DE", ["neuenkirchen"], []),
    ("Neunkirchen", "DE", ["neunkirchen"], []),
    ("Århus", "DK", ["arhus", decomposed("Århus")], ["Aarhus"]),
    ("Goes", "NL", ["GOES"], []),
    ("Łódź", "PL", ["łódź", "lodz", "ŁÓDŹ", decomposed("łódź")], ["Lodz", decomposed("Łódź")]),
    ("Ереван", "AM", ["ЕРЕВАН", "ереван"], ["ЕРЕВАН"]),
    ("'s-Hertogenbosch", "NL", ["s hertogenbosch", "’s-Hertogenbosch"], ["’s-Hertogenbosch"]),
    ("Sankt-Peterburg", "RU", ["sankt peterburg"], ["Sankt Peterburg"]),
    ("القاهرة", "EG", ["القاهره", "القَاهِرَة"], ["القاهره"]),
]


async def test_a_city_is_one_city_under_all_its_names(events: EventSearch) -> None:
    for city, country, _, spellings in CITIES:
        await index(events, *(named("A", each, country) for each in (city, city, *spellings)))
    facets = {facet.value: facet for facet in (await events.search(SearchQuery())).facets["city"]}
    assert {name: facet.count for name, facet in facets.items()} == {
        city: 2 + len(spellings) for city, _, _, spellings in CITIES
    }
    questions = {
        (city, question): (await events.search(SearchQuery(city=question))).total
        for city, _, asked, spellings in CITIES
        for question in (*asked, *spellings, city, facets[city].id)
    }
    assert questions == {case: facets[case[0]].count for case in questions}


async def test_cities_of_one_name_in_two_countries_are_two_cities(events: EventSearch) -> None:
    await index(events, named("A", "Valencia", "ES"), named("B", "Valencia", "VE"))
    page = await events.search(SearchQuery(city="valencia"))
    assert [(facet.value, facet.count) for facet in page.facets["city"]] == [("Valencia", 1), ("Valencia", 1)]
    ids = [facet.id for facet in page.facets["city"]]
    assert {(await events.search(SearchQuery(city=id))).total for id in ids} == {1}
    assert (await events.search(SearchQuery(city="valencia"))).total == 2


async def test_a_category_is_one_in_all_its_spellings(events: EventSearch) -> None:
    spellings = ["Jazz", "JAZZ", "jazz", "Jazz"]
    await index(events, *(named("A", category=each) for each in spellings), named("B", category="Café"))
    (jazz, _) = (await events.search(SearchQuery())).facets["category"]
    assert (jazz.value, jazz.count) == ("Jazz", 4)
    for question in ["jazz", "JAZZ", jazz.id]:
        assert (await events.search(SearchQuery(category=question))).total == 4
    assert (await events.search(SearchQuery(category=decomposed("CAFÉ")))).total == 1
