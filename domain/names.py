"""Names of people, teams, events, places, sections and categories: which are accepted, and when two are the same."""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category, normalize

from idna import valid_contextj

from domain.search_words import whole, words

_REFUSED: Final = {
    "Cc": "control characters or line breaks",
    "Zl": "control characters or line breaks",
    "Zp": "control characters or line breaks",
    "Cf": "invisible format characters",
    "Cs": "half of a surrogate pair",
    "Co": "characters of private use",
}
_JOINERS: Final = frozenset("\u200c\u200d")
_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that show nothing."""

_VARIANTS: Final = re.compile("[\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]|[^\\S ]+| {2,}")
_VISIBLE: Final = ("L", "N", "P", "S")


class BadName(ValueError):
    """The text is no name; the error's text says why, and fits behind the name of a field."""


def name_of(text: str) -> str:
    """The name as it is stored: in NFC, without white space around it.

    Raises:
        BadName: It is empty, shows nothing, or has characters that no reader sees, such as controls, line breaks,
            marks of direction and fillers. The two joiners are accepted where a script needs them (RFC 5892).
    """
    name = normalize("NFC", text.strip(" "))
    for position, letter in enumerate(name):
        if why := _fault(name, position, letter):
            raise BadName(f"must not contain {why}")
    name = name.strip()
    if not any(category(letter)[0] in _VISIBLE for letter in name):
        raise BadName("must contain a letter, a digit or a sign")
    return name


def cleaned(text: str) -> str:
    """The name in a text of another system, without what `name_of` refuses; empty if nothing is left."""
    composed = normalize("NFC", text)
    kept = "".join(
        letter if not _fault(composed, position, letter) else " " if category(letter) in ("Cc", "Zl", "Zp") else ""
        for position, letter in enumerate(composed)
    )
    try:
        return name_of(" ".join(kept.split()))
    except BadName:
        return ""


def name_key(name: str) -> str:
    """Equal for names that a reader takes for the same one: other case, composition, width or white space."""
    folded = normalize("NFKC", _VARIANTS.sub(_spaced, normalize("NFKC", name))).casefold()
    return normalize("NFKC", folded).strip()


def _spaced(found: re.Match[str]) -> str:
    return " " if found[0].isspace() else ""


def _fault(name: str, position: int, letter: str) -> str | None:
    """What is wrong with a letter of a name; None if nothing is."""
    if letter in _JOINERS and _joins(name, position):
        return None
    if letter in _FILLERS or _is_no_character(letter):
        return "invisible characters"
    return _REFUSED.get(category(letter))


def _joins(name: str, position: int) -> bool:
    """Whether a joiner stands where a script needs one, or joins two symbols, as in a flag."""
    before, after = name[:position].rstrip("\ufe0f"), name[position + 1 :]
    if before and after and category(before[-1])[0] == category(after[0])[0] == "S":
        return True
    try:
        return valid_contextj(name, position)
    except ValueError:
        return False


def _is_no_character(letter: str) -> bool:
    return 0xFDD0 <= ord(letter) <= 0xFDEF or ord(letter) & 0xFFFE == 0xFFFE


def person_key(name: str) -> str:
    """The same for all spellings of a person's whole name: with or without accents, in any order and case."""
    return " ".join(sorted(words(name))) or whole(name)
