"""Recognizes text that may be a payment card's number, so that none gets onto disks or into logs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from domain.number_contexts import Surroundings, hide_ids

_SHORTEST, _LONGEST = 13, 19
_SPREAD = _LONGEST - _SHORTEST + 1
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa: 13, 16 or 19 digits
    r"|5[1-5]\d{14}|(?:222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:30[0-5]\d|3095|3[689]\d\d)\d{10,15}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|(?:5[06-8]|6\d)\d{11,17}"  # Maestro, Discover, UnionPay, RuPay, Verve, Elo
    r"|8[12]\d{14,17}"  # UnionPay and RuPay
    r"|220[0-4]\d{12,15}"  # Mir
    r"|9792\d{12}",  # Troy
    re.ASCII,
)
"""First digits and lengths of the card schemes. Timestamps before 2039, in seconds to nanoseconds, do not begin so."""

_FIRST_DIGITS = frozenset("2345689")
_RUN = re.compile(r"[0-9]+(?:[\W_]{1,8}[0-9]+)*")
_DIGITS = re.compile(r"[0-9]+")
_INVISIBLE = frozenset({"Cf", "Mn", "Me"})  # joiners, soft hyphens, variation selectors, keycaps
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")  # blank, although Unicode counts them as letters
_MOST = 100  # other numbers with a card's digits; one in a hundred has them
_BLOCK = 4  # digits of a group, as cards are printed
_VISA_13 = [4, 3, 3, 3]  # how old cards of 13 digits are printed
_DOUBLED = [sum(divmod(2 * digit, 10)) for digit in range(10)]


def has_card_number(text: str) -> bool:
    """Whether a text contains 13 to 19 digits that could be a card's number by issuer, length and check digit.

    Up to eight spaces, punctuation marks or symbols may stand between groups of digits, and invisible characters
    anywhere. Groups of uneven sizes, as in dates and lists of telephone numbers, make no card number. UUIDs, digests,
    IBANs, telephone numbers and decimal fractions do not count, nor does a part of a longer number without gaps. A text
    that has very many of those with a card's digits counts as a card number: its only use is to cost our time.
    """
    seen = hide_ids(_visible(text))
    around = Surroundings(seen)
    candidates = (
        place
        for run in _RUN.finditer(seen)
        if run.end() - run.start() >= _SHORTEST
        for place in _candidates(seen, [digits.span() for digits in _DIGITS.finditer(seen, *run.span())])
    )
    return any(count >= _MOST or not around.is_other_number(*place) for count, place in enumerate(candidates))


def _visible(text: str) -> str:
    """The text as a reader sees it: digits of all scripts as ASCII, without invisible characters."""
    return text if text.isascii() else "".join(map(_seen, text))


def _seen(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.category(character) in _INVISIBLE:
        return ""
    if character in _FILLERS:
        return " "
    digit = unicodedata.digit(character, None)
    return character if digit is None else str(digit)


def _candidates(text: str, groups: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where the numbers stand that begin and end at the borders of groups, by issuer, length and check digit.

    A body of 64 KiB has tens of thousands of groups.
    """
    digits = "".join(text[start:end] for start, end in groups)
    if len(digits) < _SHORTEST:
        return
    layout, (even, odd) = _Layout(text, groups), _luhn_sums(digits)
    edges = list(accumulate(layout.sizes, initial=0))
    place = 0
    for first, start in enumerate(edges[:-1]):
        while place < len(groups) and edges[place] - start < _SHORTEST:
            place += 1
        if digits[start] in _FIRST_DIGITS:
            for last, end in enumerate(edges[place : place + _SPREAD], place - 1):
                sums = odd if end % 2 else even
                has_check_digit = (sums[end] - sums[start]) % 10 == 0 and _SHORTEST <= end - start <= _LONGEST
                if has_check_digit and layout.is_one_number(first, last) and _ISSUERS.fullmatch(digits, start, end):
                    yield groups[first][0], groups[last][1]


class _Layout:
    """Whether neighbouring groups of digits look like one number.

    They do as blocks of four or more digits, and as groups of one size with one kind of gap. The outer groups of a
    number may be smaller than its other groups.
    """

    def __init__(self, text: str, groups: Sequence[tuple[int, int]]) -> None:
        self.sizes = [end - start for start, end in groups]
        gaps = [text[end:start] for (_, end), (start, _) in pairwise(groups)]
        self._even = _stretches(self.sizes)
        self._gaps = _stretches(gaps)

    def is_one_number(self, first: int, last: int) -> bool:
        """Whether the groups from the first to the last, both included, look like one number."""
        sizes = self.sizes
        if last - first < 2 or sizes[first + 1] >= _BLOCK:
            return min(sizes[first + 1 : last], default=_BLOCK) >= _BLOCK
        if self._even[first + 1] < last or self._gaps[first] < last:
            return False
        return sizes[first] <= sizes[first + 1] >= sizes[last] or sizes[first : last + 1] == _VISA_13


def _stretches(values: Sequence[object]) -> list[int]:
    """For each place, the place behind the last of the equal values that follow one another from there."""
    ends = list(range(1, len(values) + 1))
    for place in range(len(values) - 2, -1, -1):
        if values[place] == values[place + 1]:
            ends[place] = ends[place + 1]
    return ends


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """Luhn's sums (ISO/IEC 7812-1, annex B) up to each place, with the digits at even or at odd places doubled.

    Of a number that ends before place n every second digit counts double from n - 2 backwards: those of n's parity.
    """
    even, odd = list(map(int, digits)), list(map(int, digits))
    even[::2] = [_DOUBLED[digit] for digit in even[::2]]
    odd[1::2] = [_DOUBLED[digit] for digit in odd[1::2]]
    return list(accumulate(even, initial=0)), list(accumulate(odd, initial=0))
