# ruff: noqa: RUF001 - letters that look alike are the subject
"""All spellings of a name have the same words, and other names have others."""

from __future__ import annotations

import unicodedata

import pytest

from domain.search_words import asked_key, asked_keys, chunks, fold, joined_words, key, keys, plain_key, whole, words

JOINED = [
    ("AC/DC", "acdc"),
    ("AC-DC", "acdc"),
    ("AC ⚡ DC", "acdc"),
    ("Spider-Man: No Way Home", "spiderman"),
    ("Spider Man", "spiderman"),
    ("Ke$ha", "kesha"),
    ("A$AP Rocky", "asap"),
    ("Joey Bada$$", "badass"),
    ("Ty Dolla $ign", "sign"),
    ("P!nk", "pink"),
    ("Deadmau5", "deadmaus"),
    ("Blink-182", "blink182"),
    ("Blink 182", "blink182"),
    ("blink182", "blink182"),
    ("R.E.M.", "rem"),
    ("R. E. M.", "rem"),
    ("O'Connor", "oconnor"),
    ("Sinéad O\u02bcConnor", "oconnor"),
    ("O Connor", "oconnor"),
    ("will.i.am", "william"),
    ("S.T.A.L.K.E.R.", "stalker"),
]


@pytest.mark.parametrize(("name", "joined"), JOINED)
def test_a_name_is_also_one_word(name: str, joined: str) -> None:
    assert joined in joined_words(name)


@pytest.mark.parametrize("apostrophe", list("'`´’‘‛ʼʻ′＇"))
def test_every_apostrophe_parts_a_name(apostrophe: str) -> None:
    assert words(f"O{apostrophe}Connor") == ["o", "connor"]


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Dvořák", "dvorak"),
        ("Sigur Rós", "sigur ros"),
        ("İSTANBUL", "istanbul"),
        ("ISPARTA", "isparta"),
        ("ısparta", "isparta"),
        ("ŁÓDŹ", "lodz"),
        ("Mø", "mo"),
        ("Straße", "strasse"),
        ("Nguyễn Đức", "nguyen duc"),
        ("Ёлка", "елка"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("أُمّ كُلْثُوم", "ام كلثوم"),
        ("أم كلثوم", "ام كلثوم"),
        ("אִילָן", "אילן"),
        ("हिन्दी", "हिन्दी"),
        ("ガラ", "ガラ"),
        ("한국", "한국"),
        ("ﬁne ２０", "fine 20"),
        ("zero\u200bwidth\u00ad", "zerowidth"),
    ],
)
def test_spellings_fold_into_one_and_letters_stay(name: str, folded: str) -> None:
    assert {fold(unicodedata.normalize(form, name)) for form in ("NFC", "NFD", "NFKC", "NFKD")} == {folded}


@pytest.mark.parametrize(("one", "other"), [("ガ", "カ"), ("कु", "क"), ("ก่", "กี"), ("и", "е"), ("jazz", "jaz")])
def test_other_letters_stay_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_a_symbol_is_a_letter_only_inside_a_word() -> None:
    assert "panici" not in joined_words("Panic! at the Disco")
    assert joined_words("$5") == []
    assert words("$5 & more") == ["5", "more"]
    assert [chunk.words for chunk in chunks("Hello, World – 2030")] == [("hello",), ("world",), ("2030",)]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Sankt-Peterburg", "sankt peterburg"), ("'s-Hertogenbosch", "s Hertogenbosch"), ("ЕРЕВАН", "Ереван")],
)
def test_a_key_is_the_same_for_all_spellings(one: str, other: str) -> None:
    assert key(one) == key(other)


def test_a_name_without_letters_is_its_own_key() -> None:
    assert (key("!!!"), key(" +/- ")) == ("!!!", "+/-")
    assert words("!!!") == []
    assert whole(" Ａ  b ") == "a b"


def test_a_question_reads_as_much_of_a_name_as_the_index_keeps() -> None:
    assert asked_key("\u2474" * 100) == key("\u2474" * 100) == "1" * 100
    assert asked_keys("aa" * 128) == {"aa" * 128, "a" * 128}
    assert all(256 < len(each) < 514 for each in asked_keys("aa" * 5000) | asked_keys("\ufdfa" * 100))


def test_umlauts_have_two_spellings() -> None:
    assert keys("München") == keys(unicodedata.normalize("NFD", "München")) == {"munchen", "muenchen"}
    assert keys("Århus") == {"arhus", "aarhus"}
    assert keys("Utrecht") == {"utrecht"}
    for asked in ("Muenchen", "MUNCHEN", "münchen"):
        for stored in ("München", "Munchen"):
            assert asked_keys(asked) & keys(stored)
    assert asked_keys("Muenchen") == {"muenchen", "munchen"}
    assert asked_keys("Aarhus") == {"aarhus", "arhus"}
    assert asked_keys("Łódź") == {"lodz"}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("Köln", "Koeln", True),
        ("München", "MUENCHEN", True),
        ("Düsseldorf", "Duesseldorf", True),
        ("Lübeck", "Luebeck", True),
        ("Århus", "Aarhus", True),
        ("Tromsø", "Tromsoe", True),
        ("Ærøskøbing", "Aeroeskoebing", True),
        ("Neuenkirchen", "Neunkirchen", False),
        ("Neuenburg", "Neunburg", False),
        ("Aue", "Au", False),
        ("Querfurt", "Qurfurt", False),
        ("Köln", "Kiel", False),
    ],
)
def test_a_plain_key_is_the_same_with_and_without_umlauts(one: str, other: str, is_same: bool) -> None:
    assert (plain_key(one) == plain_key(other)) is is_same
    assert (plain_key(unicodedata.normalize("NFD", one)) == plain_key(other)) is is_same
