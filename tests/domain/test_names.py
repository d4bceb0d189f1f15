"""A name is one line that a reader sees as it is; two names that look alike are the same."""

# ruff: noqa: RUF001 (names of many scripts)
from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api.catalogue.schemas import NewEvent, NewVenue
from api.http.schemas import Name, SectionName
from api.identity.accounts import Registration
from api.identity.profile import ProfileChange
from api.identity.teams import NewTeam
from api.reservation.schemas import BookingBody, ExchangeBody
from domain.names import BadName, cleaned, name_key, name_of

COMPOSED, DECOMPOSED = "Caf\u00e9", "Cafe\u0301"

REFUSED = {
    "empty": "",
    "spaces": "   ",
    "spaces of another width": "\u2003\u3000\u00a0",
    "only invisible": "\u200b\u2060\u3164",
    "a zero-width space": "Ada\u200b",
    "a word joiner": "\u2060Ada",
    "a filler": "Ada\u3164",
    "half a filler": "Ada\uffa0",
    "an empty pattern": "\u2800",
    "a soft hyphen": "Ada\u00ad",
    "a byte order mark": "\ufeffAda",
    "right to left": "Ada\u202egpj",
    "an isolate": "\u2066Ada\u2069",
    "a line break": "Ada\nBcc: all",
    "a line break at the end": "Ada\n",
    "a carriage return": "Ada\rLovelace",
    "a tab": "Ada\tLovelace",
    "a line separator": "Ada\u2028Lovelace",
    "a paragraph separator": "Ada\u2029Lovelace",
    "a C1 control": "Ada\u0085Lovelace",
    "NUL": "Ada\x00",
    "an escape": "\x1b[31mAda",
    "half a surrogate pair": "Ada\ud800",
    "private use": "Ada\ue000",
    "no character": "Ada\ufffe",
    "a tag": "Ada\U000e0041",
    "a joiner that joins nothing": "Ada\u200d",
    "a joiner between Latin letters": "a\u200cb",
    "a mark without a letter": "\u0301",
}
ACCEPTED = {
    "plain": ("Ada Lovelace", "Ada Lovelace"),
    "space around": ("  Ada  ", "Ada"),
    "decomposed": (DECOMPOSED, COMPOSED),
    "an apostrophe": ("Sinéad O’Connor", "Sinéad O’Connor"),
    "right to left by its letters": ("محمد", "محمد"),
    "a joiner that Persian needs": ("نمی\u200cخواهم", "نمی\u200cخواهم"),
    "a joiner that Devanagari needs": ("क\u094d\u200dष", "क\u094d\u200dष"),
    "a picture": ("🎸", "🎸"),
    "a flag of joined signs": ("🏳\ufe0f\u200d🌈 Night", "🏳\ufe0f\u200d🌈 Night"),
    "one letter": ("X", "X"),
    "a sign": ("!!!", "!!!"),
}
ALIKE = [
    ("Jazz", "JAZZ", "jazz", "Ｊａｚｚ"),
    (COMPOSED, DECOMPOSED, "CAFÉ"),
    ("Main  Hall", "main\u00a0hall", "Main Hall"),
    ("Straße", "STRASSE"),
    ("Rock", "Rock\ufe0f"),
]

_VENUE = {"name": "Globe", "city": "London", "country": "GB", "latitude": 51.5, "longitude": 0}
_EVENT = {
    "name": "Hamlet",
    "category": "theatre",
    "venue": _VENUE,
    "starts_at": "2100-01-01T00:00:00Z",
    "currency": "EUR",
    "hold_seconds": 600,
    "sections": [{"name": "A", "kind": "general", "capacity": 1, "price": 1}],
}
_PERSON = {"email": "ada@example.test", "password": "correct horse battery"}
NAMED: dict[str, Any] = {
    "a person": lambda name: Registration.model_validate(_PERSON | {"name": name}).name,
    "a changed person": lambda name: ProfileChange.model_validate({"name": name}).name,
    "a favourite": lambda name: ProfileChange.model_validate({"favourite_categories": [name]}).favourite_categories[0],
    "a team": lambda name: NewTeam.model_validate({"name": name}).name,
    "an event": lambda name: NewEvent.model_validate(_EVENT | {"name": name}).name,
    "a category": lambda name: NewEvent.model_validate(_EVENT | {"category": name}).category,
    "a venue": lambda name: NewVenue.model_validate(_VENUE | {"name": name}).name,
    "a city": lambda name: NewVenue.model_validate(_VENUE | {"city": name}).city,
    "a section": lambda name: TypeAdapter(SectionName).validate_python(name),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_a_name_with_what_no_reader_sees_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        name_of(text)


@pytest.mark.parametrize(("text", "stored"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_name_of_any_script_is_stored_composed(text: str, stored: str) -> None:
    assert name_of(text) == stored
    assert name_of(stored) == stored


@pytest.mark.parametrize("field", NAMED)
@pytest.mark.parametrize("text", ["A\u202eB", "A\nB", "\u200b\u2060\u3164", "A\u3164"])
def test_every_name_that_a_client_sends_is_checked(field: str, text: str) -> None:
    with pytest.raises(ValidationError):
        NAMED[field](text)


@pytest.mark.parametrize("field", NAMED)
def test_every_name_that_a_client_sends_is_stored_composed(field: str) -> None:
    assert NAMED[field](DECOMPOSED) == COMPOSED


@pytest.mark.parametrize("names", ALIKE)
def test_names_that_look_alike_are_the_same(names: tuple[str, ...]) -> None:
    assert len({name_key(name) for name in names}) == 1


def test_names_that_differ_are_not_the_same() -> None:
    assert len({name_key(name) for name in ("Jazz", "Jass", "A-1", "A 1", "Cafe", COMPOSED)}) == 6


@pytest.mark.parametrize("names", ALIKE[:3])
def test_two_sections_that_look_alike_are_refused(names: tuple[str, ...]) -> None:
    sections = [{"name": name, "kind": "general", "capacity": 1, "price": 1} for name in (names[0], names[1])]
    with pytest.raises(ValidationError):
        NewEvent.model_validate(_EVENT | {"sections": sections})


def test_a_favourite_is_named_once_however_it_is_written() -> None:
    with pytest.raises(ValidationError):
        ProfileChange.model_validate({"favourite_categories": ["Jazz", "JAZZ"]})


def test_a_place_is_found_however_its_name_is_composed() -> None:
    event = "01a2077b-abd2-752f-b932-ac8d9ca64bd5"
    body = {"event_id": event, "seats": [f"{DECOMPOSED}-1-1"], "quantities": {DECOMPOSED: 1}}
    booking = BookingBody.model_validate(body)
    assert (booking.seats, booking.quantities) == ([f"{COMPOSED}-1-1"], {COMPOSED: 1})
    assert ExchangeBody.model_validate({"ticket": event, "seat": f"{DECOMPOSED}-1-1"}).seat == f"{COMPOSED}-1-1"
    for twice in (
        {"seats": [f"{name}-1-1" for name in (COMPOSED, DECOMPOSED)]},
        {"quantities": {COMPOSED: 1, DECOMPOSED: 1}},
    ):
        with pytest.raises(ValidationError):
            BookingBody.model_validate({"event_id": event} | twice)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("Ada\u200b Lovelace", "Ada Lovelace"), ("Ada\nLovelace", "Ada Lovelace"), ("\u3164", ""), (DECOMPOSED, COMPOSED)],
)
def test_a_name_of_another_system_is_cleaned(text: str, kept: str) -> None:
    assert cleaned(text) == kept


def test_a_name_that_grows_when_it_is_composed_is_measured_as_it_is_stored() -> None:
    grows = "\u0958" * 150  # two characters each in NFC
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(grows)
