"""The languages of messages: their texts, and how they write dates, clocks and amounts of money."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone_gmt, get_timezone_name
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import NumberPattern, parse_pattern

from domain.money import exponent, to_decimal
from domain.time_zones import on_clock

TEXTS: Final = Path(__file__).parent / "locale"
SOURCE: Final = "en"
"""The language in which the templates are written."""

_USUAL_LOCALES: Final = {"en": "en_GB", "de": "de_DE", "tr": "tr_TR"}
LANGUAGES: Final = tuple(_USUAL_LOCALES)


@dataclass(frozen=True)
class Language:
    """One of `LANGUAGES`, as a person's preference names it.

    Attributes:
        code: Such as `de`.
        texts: The translations of the texts in the templates.
        locale: How the person's region writes dates and numbers.
    """

    code: str
    texts: NullTranslations
    locale: Locale

    def money(self, amount: int, currency: str) -> str:
        """Minor units with the currency's code, in the order of this language: `EUR 12.50`, `12,50 EUR`."""
        pattern = _money_pattern(str(self.locale), exponent(currency))
        return str(pattern.apply(to_decimal(amount, currency), self.locale, currency, currency_digits=False))

    def wall_clock(self, moment: datetime, zone: str) -> str:
        """The moment on the clock of a zone, with the day, the zone's name and its offset from UTC."""
        local = on_clock(moment, zone)
        day = format_date(local, "full", locale=self.locale)
        time = format_time(local, "short", tzinfo=ZoneInfo(zone), locale=self.locale)
        offset = get_timezone_gmt(local, "long", locale=self.locale)
        return f"{day}, {time} ({get_timezone_name(local, 'long', locale=self.locale)}, {offset})"


def language_of(tag: str) -> Language:
    """The language of a BCP 47 tag such as `de-AT`; English where there are no texts in it."""
    code = tag.partition("-")[0].lower()
    if code not in LANGUAGES:
        code = tag = SOURCE
    return _language(code, _known_locale(tag) or _USUAL_LOCALES[code])


def _known_locale(tag: str) -> str | None:
    """The locale of a tag with a region; None for a language alone, or a region that is not known."""
    if "-" not in tag:
        return None
    try:
        return str(Locale.parse(tag, sep="-"))
    except (UnknownLocaleError, ValueError):
        return None


# By what is known, never by the tag: persons may invent any number of tags.
@cache
def _language(code: str, locale: str) -> Language:
    return Language(code, _texts(code), Locale.parse(locale))


@cache
def _texts(code: str) -> NullTranslations:
    """The translated texts of a language; the templates hold those of `SOURCE`."""
    if code == SOURCE:
        return NullTranslations()
    compiled = BytesIO()
    with (TEXTS / f"{code}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=code))
    compiled.seek(0)
    return GNUTranslations(compiled)


@cache
def _money_pattern(locale: str, decimals: int) -> NumberPattern:
    """The locale's pattern of money, with the code of the currency apart from the number, and so many decimals."""
    standard = Locale.parse(locale).currency_formats["standard"].pattern
    spaced = standard.replace("¤", "¤¤\xa0") if standard.startswith("¤") else standard.replace("¤", "¤¤")
    pattern = parse_pattern(spaced.replace("\xa0\xa0", "\xa0"))
    pattern.frac_prec = (decimals, decimals)
    return pattern
