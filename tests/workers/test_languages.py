"""Messages speak the language of their reader, with its dates and its way of writing money."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from tests.workers.test_messages import CASES, Case, mail_for
from workers.consumers.notification.languages import LANGUAGES, SOURCE, TEXTS, language_of
from workers.consumers.notification.rendering import TEMPLATES

TRANSLATED = [code for code in LANGUAGES if code != SOURCE]
STARTS_AT = datetime(2030, 5, 4, 16, 30, tzinfo=UTC)
_OPTIONS = {"newstyle_gettext": "true", "trim_blocks": "true", "silent": "false"}


def texts() -> Iterator[tuple[str, ...]]:
    """The texts of all templates: one form, or the forms for one and for many."""
    for path in sorted(TEMPLATES.rglob("*.j2")):
        with path.open("rb") as file:
            for _, _, found, _ in babel_extract(file, ("gettext", "ngettext"), [], _OPTIONS):
                yield (found,) if isinstance(found, str) else tuple(each for each in found or () if each)


def catalogue(code: str) -> Catalog:
    with (TEXTS / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_text_is_translated_with_the_same_values_in_it(code: str) -> None:
    translated = catalogue(code)
    for forms in texts():
        found = translated.get(forms[0])
        assert found, forms
        strings = found.string if isinstance(found.string, tuple) else (found.string,)
        assert len(strings) == len(forms), forms
        for text, original in zip(strings, forms, strict=True):
            assert isinstance(text, str)
            assert text, forms
            assert set(re.findall(r"%\(\w+\)s", text)) == set(re.findall(r"%\(\w+\)s", original)), forms


@pytest.mark.parametrize("code", TRANSLATED)
def test_no_translation_is_left_over(code: str) -> None:
    used = {forms[0] for forms in texts()}
    ids = [message.id if isinstance(message.id, str) else message.id[0] for message in catalogue(code) if message.id]
    assert sorted(set(ids) - used) == []


@pytest.mark.parametrize("code", TRANSLATED)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_mail_has_no_english_sentence_in_another_language(case: Case, code: str) -> None:
    english, mail = mail_for(case.event), mail_for(case.event, language=code)
    assert mail.subject != english.subject
    sentences = re.findall(r"[A-Z][a-z]+ [a-z][^.:\n]+[.:]", " ".join(english.text.split()))
    assert [each for each in sentences if each in " ".join(mail.text.split())] == []
    assert f'<html lang="{code}">' in mail.html


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("code", LANGUAGES)
def test_no_line_of_a_text_mail_is_too_long_to_read(case: Case, code: str) -> None:
    assert max(map(len, mail_for(case.event, language=code).text.splitlines())) <= 78


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        *[("de", "de"), ("de-AT", "de"), ("DE-ch", "de"), ("tr-TR", "tr"), ("de-XX", "de"), ("en-US", "en")],
        *[("", "en"), ("pt-BR", "en"), ("zh-Hant-TW", "en"), ("../de", "en"), ("x", "en")],
    ],
)
def test_a_preference_leads_to_a_language_that_there_is(tag: str, code: str) -> None:
    assert language_of(tag).code == code


@pytest.mark.parametrize(("invented", "known"), [("de-Abcd-XX", "de"), ("de-Abce-XY", "de"), ("de-Abcd-AT", "de-AT")])
def test_a_language_is_kept_once_whatever_tags_people_invent(invented: str, known: str) -> None:
    """Kept by their tags, languages filled the memory of the worker."""
    assert language_of(invented) is language_of(known)


@pytest.mark.parametrize(
    ("tag", "zone", "said"),
    [
        ("en", "Europe/Istanbul", "Saturday, 4 May 2030, 19:30 (Türkiye Standard Time, GMT+03:00)"),
        ("de", "Europe/Istanbul", "Samstag, 4. Mai 2030, 19:30 (Türkische Normalzeit, GMT+03:00)"),
        ("tr", "Europe/Istanbul", "4 May\u0131s 2030 Cumartesi, 19:30 (Türkiye Standart Saati, GMT+03:00)"),
        ("de", "Europe/Berlin", "Samstag, 4. Mai 2030, 18:30 (Mitteleuropäische Sommerzeit, GMT+02:00)"),
        ("en", "Asia/Kathmandu", "Saturday, 4 May 2030, 22:15 (Nepal Time, GMT+05:45)"),
        ("en", "Pacific/Kiritimati", "Sunday, 5 May 2030, 06:30 (Line Islands Time, GMT+14:00)"),
        ("en-US", "America/New_York", "Saturday, May 4, 2030, 12:30\u202fPM (Eastern Daylight Time, GMT-04:00)"),
    ],
)
def test_a_time_is_that_of_the_venue_in_the_words_of_the_reader(tag: str, zone: str, said: str) -> None:
    assert language_of(tag).wall_clock(STARTS_AT, zone) == said


@pytest.mark.parametrize(
    ("tag", "amount", "currency", "said"),
    [
        ("en", 12050, "EUR", "EUR 120.50"),
        ("de", 12050, "EUR", "120,50 EUR"),
        ("tr", 12050, "EUR", "EUR 120,50"),
        ("en", 123456789, "USD", "USD 1,234,567.89"),
        ("de", 123456789, "TRY", "1.234.567,89 TRY"),
        ("en", 12000, "JPY", "JPY 12,000"),
        ("en", 1500, "KWD", "KWD 1.500"),
        ("de", 5, "KWD", "0,005 KWD"),
    ],
)
def test_money_has_its_code_and_the_decimals_of_its_currency(tag: str, amount: int, currency: str, said: str) -> None:
    assert language_of(tag).money(amount, currency).replace("\xa0", " ") == said
