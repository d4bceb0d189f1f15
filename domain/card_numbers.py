"""Recognizes text that may be a payment card's number, so that none gets onto disks or into logs."""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate

_LENGTHS = range(13, 20)
_ISSUERS = re.compile(
    r"(?:220[0-4]|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720|9792)\d{12}|(?:3[04-9]|[456])\d+", re.ASCII
)
"""The first digits of all card schemes. Timestamps before 2039, in seconds to nanoseconds, do not begin so."""

_IDS = re.compile(
    r"(?<![0-9a-zA-Z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?=[0-9]*[a-f])(?:[0-9a-f]{2}){8,}|(?=[0-9]*[A-F])(?:[0-9A-F]{2}){8,})(?![0-9a-zA-Z])"
)
"""UUIDs, hexadecimal digests and random keys. One in two thousand of eight bytes looks like a card's number."""
_FIRST_DIGITS = frozenset("234569")
_GROUPS = re.compile(r"(?<![\d+])\d+(?:[\s\u00ad\u200b\u2010-\u2015_-]{1,3}\d+)*")
_DIGITS = re.compile(r"\d+")


def has_card_number(text: str) -> bool:
    """Whether a text contains 13 to 19 digits that could be a card's number by issuer and check digit.

    Spaces, hyphens and underscores may stand between groups of digits. UUIDs and digests do not
    count, nor do numbers after a plus sign (telephone numbers), nor a part of a longer number without gaps.
    """
    return any(_has_one(_DIGITS.findall(run)) for run in _GROUPS.findall(_IDS.sub(" / ", text)))


def _has_one(groups: list[str]) -> bool:
    """Whether a number begins and ends at the borders of groups. A body of 64 KiB has tens of thousands of groups."""
    digits = "".join(str(unicodedata.decimal(digit)) for group in groups for digit in group)
    if len(digits) < min(_LENGTHS):
        return False
    edges, sums = list(accumulate(map(len, groups), initial=0)), _luhn_sums(digits)
    for number, start in enumerate(edges):
        if digits[start : start + 1] not in _FIRST_DIGITS:
            continue
        for end in edges[number + 1 : number + 1 + max(_LENGTHS)]:
            has_check_digit = end - start in _LENGTHS and (sums[end % 2][end] - sums[end % 2][start]) % 10 == 0
            if has_check_digit and _ISSUERS.fullmatch(digits, start, end):
                return True
    return False


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """Luhn's sums (ISO/IEC 7812-1, annex B) up to each place, with the digits at even or at odd places doubled.

    Of a number that ends before place n every second digit counts double from n - 2 backwards: those of n's parity.
    """
    values = list(map(int, digits))
    doubled = [sum(divmod(2 * value, 10)) for value in values]
    even = [two if place % 2 == 0 else one for place, (one, two) in enumerate(zip(values, doubled, strict=True))]
    odd = [two if place % 2 else one for place, (one, two) in enumerate(zip(values, doubled, strict=True))]
    return list(accumulate(even, initial=0)), list(accumulate(odd, initial=0))
