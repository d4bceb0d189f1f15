"""Recognizes numbers that their surroundings show to be no card numbers: ids, IBANs, telephone numbers, fractions."""

from __future__ import annotations

import re

_IDS = re.compile(
    r"(?<![0-9a-zA-Z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?=[0-9]*[a-f])(?:[0-9a-f]{2}){8,}|(?=[0-9]*[A-F])(?:[0-9A-F]{2}){8,})(?![0-9a-zA-Z])"
)
"""UUIDs, hexadecimal digests and random keys. One in two thousand of eight bytes looks like a card's number."""

_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?:[\s-]?[0-9A-Z]){11,30}(?![0-9A-Za-z])")
_IBAN_LENGTHS = range(15, 35)
_IBAN_WRITTEN = 46  # characters of the longest one, with its gaps

_ABROAD = re.compile(r"(?:\+|(?<![0-9])00[ -]?)$")
_PHONE_LENGTHS = range(7, 16)  # E.164, with the country's code

_NAMED = re.compile(
    r"(?<![a-z])(?:call|fax|gsm|mobile|phone|sms|telephone|telefon|tel|whatsapp"
    r"|booking|invoice|order|parcel|reference|ref|ticket|tracking)(?![a-z])[^0-9]{0,12}$",
    re.IGNORECASE,
)
_NAMED_LENGTHS = range(1, 15)  # too short for nearly all cards of today
_CONTEXT = 30  # characters before a number that may say what it is

_FRACTION = re.compile(r"[0-9]{1,3}[.,][0-9]{5,}")
_WHOLE_PART = re.compile(r"(?<![0-9.,])[0-9]{1,3}[.,]$")
_DECIMALS = range(5, 16)  # a coordinate's, as browsers give it


def hide_ids(text: str) -> str:
    """Replace each UUID, digest and random key by a letter."""
    return _IDS.sub("x", text)


def is_other_number(text: str, start: int, end: int) -> bool:
    """Whether the number at this place of a text is surely no card's, by what stands around it."""
    before, length = text[max(0, start - _CONTEXT) : start], sum(map(str.isdigit, text[start:end]))
    return (
        (length in _PHONE_LENGTHS and _ABROAD.search(before) is not None)
        or (length in _NAMED_LENGTHS and _NAMED.search(before) is not None)
        or (_FRACTION.fullmatch(text, start, end) is not None)
        or (end - start == length and length in _DECIMALS and _WHOLE_PART.search(before) is not None)
        or _is_in_iban(text, start, end)
    )


def _is_in_iban(text: str, start: int, end: int) -> bool:
    """Whether an IBAN covers the number. Words and numbers behind an IBAN could be a part of one, by their letters."""
    around = text[max(0, start - _IBAN_WRITTEN) : end + _IBAN_WRITTEN]
    shift = max(0, start - _IBAN_WRITTEN)
    return any(
        found.start() + shift < start and end - shift <= stop and _is_iban(around[found.start() : stop])
        for found in _IBAN.finditer(around)
        for stop in range(end - shift, found.end() + 1)
        if not around[stop : stop + 1].isalnum()
    )


def _is_iban(written: str) -> bool:
    """Whether length and check digits are those of an IBAN (ISO 13616; ISO 7064, modulus 97)."""
    text = re.sub(r"[\s-]", "", written)
    return len(text) in _IBAN_LENGTHS and int("".join(str(int(each, 36)) for each in text[4:] + text[:4])) % 97 == 1
