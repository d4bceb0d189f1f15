"""How hard a new password is to guess, by zxcvbn: words, names, dates, runs and repetitions in many disguises."""

from __future__ import annotations

from typing import Final

from zxcvbn import zxcvbn

_ENOUGH: Final = 10**8.5
"""Guesses of an attacker who has the hash: with argon2id a core makes some 50 a second, and so needs months."""

_OURS: Final = ("seatwright", "ticket", "tickets")
_EXAMINED: Final = 40
"""Characters. A password whose beginning is hard to guess is hard to guess."""

_DISGUISES: Final = frozenset("@({[<!|$+%")
"""Symbols that may stand for letters. All their meanings are tried together: of ten of them for a second of CPU."""
_FEW: Final = 3
_EXAMINED_OF_MANY: Final = 16


def is_easy_to_guess(password: str) -> bool:
    """Whether too few guesses find the password. It takes up to 0.1 s of CPU: call it beside the event loop."""
    beginning = password[:_EXAMINED]
    if len(_DISGUISES.intersection(beginning)) > _FEW:
        beginning = password[:_EXAMINED_OF_MANY]
    return bool(zxcvbn(beginning, user_inputs=list(_OURS))["guesses"] < _ENOUGH)
