"""Recognizes numbers that their surroundings show to be no card numbers: ids, IBANs, telephone numbers, fractions."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property

_IDS = re.compile(
    r"(?<![0-9a-zA-Z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?=[0-9]*[a-f])(?:[0-9a-f]{2}){8,}|(?=[0-9]*[A-F])(?:[0-9A-F]{2}){8,})(?![0-9a-zA-Z])"
)
"""UUIDs, hexadecimal digests and random keys. One in two thousand of eight bytes looks like a card's number."""

_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Z]{2}[0-9]{2}(?:[\s-]?[0-9A-Z]){11,30}(?![0-9A-Za-z])")
_IBAN_LENGTHS = range(15, 35)

_ABROAD = re.compile(r"(?:\+|(?<![0-9])00[ -]?)$")
_PHONE_LENGTHS = range(7, 16)  # E.164, with the country's code

_WORDS = (
    # English
    "call", "fax", "gsm", "mobile", "phone", "sms", "telephone", "telefon", "tel", "whatsapp",
    "booking", "invoice", "order", "parcel", "reference", "ref", "ticket", "tracking",
    # German; many of its words are made of two
    "anruf", "handy", "mobil", "(?:telefon|handy|mobil|fax|ruf)(?:nummer|nr)",
    "auftrag", "bestellung", "buchung", "paket", "rechnung", "referenz", "reservierung", "sendung",
    "(?:auftrags|bestell|buchungs|paket|rechnungs|referenz|reservierungs|sendungs|ticket)(?:nummer|nr)",
    # Turkish, also typed without its own letters, and with `my`
    "cep", "faks", "fatura(?:m)?", "bilet(?:im)?", "kargo(?:m)?", "referans", "rezervasyon(?:um)?",
    "sipari[\u015fs](?:im)?", "takip",
)  # fmt: skip
"""The languages of our mails. None is a word for a payment card, such as `Karte` and `kart`."""

_LETTER = r"[^\W\d_]"
_NAMED = re.compile(
    rf"(?<!{_LETTER})(?:{'|'.join(_WORDS)})(?!{_LETTER})(?:(?!card|kart|visa|diners)[^0-9]){{0,12}}$",
    re.IGNORECASE,
)
"""A word, and up to 12 characters to its number, which name no card."""

_NAMED_LENGTHS = range(1, 15)  # too short for nearly all cards of today
_CONTEXT = 30  # characters before a number that may say what it is

_FRACTION = re.compile(r"[0-9]{1,3}[.,][0-9]{5,}")
_WHOLE_PART = re.compile(r"(?<![0-9.,])[0-9]{1,3}[.,]$")
_DECIMALS = range(5, 16)  # a coordinate's, as browsers give it


def hide_ids(text: str) -> str:
    """Replace each UUID, digest and random key by a letter."""
    return _IDS.sub("x", text)


class Surroundings:
    """What stands around the numbers of a text. Its IBANs are searched once: a caller may put many numbers in each."""

    def __init__(self, text: str) -> None:
        self._text = text

    def is_other_number(self, start: int, end: int) -> bool:
        """Whether the number at this place is surely no card's, by what stands around it."""
        text = self._text
        before, length = text[max(0, start - _CONTEXT) : start], sum(map(str.isdigit, text[start:end]))
        return (
            self._is_in_iban(start, end)
            or (length in _PHONE_LENGTHS and _ABROAD.search(before) is not None)
            or (length in _NAMED_LENGTHS and _NAMED.search(before) is not None)
            or (_FRACTION.fullmatch(text, start, end) is not None)
            or (end - start == length and length in _DECIMALS and _WHOLE_PART.search(before) is not None)
        )

    def _is_in_iban(self, start: int, end: int) -> bool:
        nearest = bisect_left(self._ibans, (start,)) - 1
        return nearest >= 0 and end <= self._ibans[nearest][1]

    @cached_property
    def _ibans(self) -> Sequence[tuple[int, int]]:
        found = ((each.start(), _end_of_iban(each)) for each in _IBAN.finditer(self._text))
        return [(start, end) for start, end in found if end]


def _end_of_iban(found: re.Match[str]) -> int:
    """Where the longest IBAN ends that begins here; 0 if none does (ISO 13616; ISO 7064, modulus 97).

    Words and numbers behind an IBAN could be a part of one, by their letters.
    """
    text, first, longest, rest = found.string, found.start(), 0, 0
    head = int("".join(str(int(each, 36)) for each in text[first : first + 4]))  # six digits
    length = 4
    for place in range(first + 4, found.end()):
        if not text[place].isalnum():
            continue
        value, length = int(text[place], 36), length + 1
        rest = (rest * (100 if value > 9 else 10) + value) % 97
        is_whole = length in _IBAN_LENGTHS and not text[place + 1 : place + 2].isalnum()
        if is_whole and (rest * 10**6 + head) % 97 == 1:
            longest = place + 1
    return longest
