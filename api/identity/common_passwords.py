"""Common passwords: a common word or a run along the keyboard, with digits and signs around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_WORDS: Final = (
    "password", "passwort", "passwd", "contrasena", "motdepasse", "parola", "sifre", "admin", "administrator",
    "root", "login", "welcome", "willkommen", "letmein", "changeme", "default", "secret", "guest", "iloveyou",
    "loveyou", "football", "baseball", "basketball", "soccer", "hockey", "monkey", "dragon", "master", "superman",
    "batman", "pokemon", "starwars", "princess", "sunshine", "shadow", "flower", "trustno", "michael", "jordan",
    "charlie", "jessica", "ashley", "daniel", "george", "summer", "winter", "spring", "autumn", "january",
    "february", "march", "april", "june", "july", "august", "september", "october", "november", "december",
    "monday", "friday", "sunday", "hello", "hallo", "whatever", "freedom", "computer", "internet", "google",
    "facebook", "amazon", "apple", "samsung", "galatasaray", "fenerbahce", "besiktas", "seatwright", "ticket",
    "tickets",
)  # fmt: skip
"""From the heads of published lists of leaked passwords, in the languages of our buyers."""

_RUNS: Final = ("abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm")
_SHORTEST_RUN: Final = 4
_REST: Final = 4  # other letters that make a password uncommon
_DISGUISE: Final = str.maketrans("@4301!5$7", "aaeoiisst")


def is_common(password: str) -> bool:
    """Whether a password consists of common words and runs, digits and signs, and little else."""
    plain = password.casefold()
    return any(_is_common(spelled) for spelled in (plain, plain.translate(_DISGUISE)))


def _is_common(text: str) -> bool:
    return len(_NO_LETTERS.sub("", _FIRST.sub("", text))) < _REST


def _runs() -> Iterator[str]:
    for run in (*_RUNS, *(run[::-1] for run in _RUNS)):
        for length in range(_SHORTEST_RUN, len(run) + 1):
            yield from (run[start : start + length] for start in range(len(run) - length + 1))


_FIRST: Final = re.compile("|".join(sorted({*_WORDS, *_runs()}, key=len, reverse=True)))
_NO_LETTERS: Final = re.compile(r"[\W\d_]+")
