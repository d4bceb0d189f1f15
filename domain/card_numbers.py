"""Recognizes what may be a payment card's number, which must not reach us: not our disks, and not our logs."""

from __future__ import annotations

import re
import unicodedata

_LENGTHS = range(13, 20)
_ISSUERS = re.compile(
    r"(?:220[0-4]|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720|9792)\d{12}|(?:3[04-9]|[456])\d+", re.ASCII
)
"""How the numbers of today's card schemes begin. Times before 2039 do not, in whatever unit they are counted."""

_IDS = re.compile(
    r"(?<![0-9a-zA-Z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?=[0-9]*[a-f])(?:[0-9a-f]{2}){8,}|(?=[0-9]*[A-F])(?:[0-9A-F]{2}){8,})(?![0-9a-zA-Z])"
)
"""UUIDs, and digests and random keys in hexadecimal: of eight bytes, one in two thousand looks like a card's number."""
_GROUPS = re.compile(r"(?<![\d+])\d+(?:[\s\u00ad\u200b\u2010-\u2015_-]{1,3}\d+)*")
_DIGITS = re.compile(r"\d+")


def has_card_number(text: str) -> bool:
    """Whether a text contains 13 to 19 digits that could be a card's number by issuer and check digit.

    Spaces, hyphens and underscores may stand between groups of digits. UUIDs and digests are no card numbers, nor is
    what begins with a plus (telephone numbers), nor a part of a longer number without gaps.
    """
    return any(_has_one(_DIGITS.findall(run)) for run in _GROUPS.findall(_IDS.sub(" / ", text)))


def _has_one(groups: list[str]) -> bool:
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > max(_LENGTHS):
                break
            if len(digits) in _LENGTHS and _is_card_number(digits):
                return True
    return False


def _is_card_number(digits: str) -> bool:
    """By Luhn's formula (ISO/IEC 7812-1, annex B)."""
    values = [unicodedata.decimal(digit) for digit in digits]
    if not _ISSUERS.fullmatch("".join(map(str, values))):
        return False
    doubled = [sum(divmod(2 * value, 10)) for value in values[-2::-2]]
    return (sum(values[-1::-2]) + sum(doubled)) % 10 == 0
