"""Password hashes (argon2id), computed in a few threads, and the rules for new passwords."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Annotated, Final, NamedTuple, TypeVar
from unicodedata import category, normalize

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

from api.http.schemas import Storable
from api.identity.password_strength import is_easy_to_guess
from domain.problems import ProblemType, Refused

# OWASP's smallest recommendation: each hash costs some 20 ms of a core and 19 MiB, so that a crowd can log in.
_hasher = PasswordHash([Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)])
_SHORTEST: Final = 12
_LETTERS: Final = 6
_T = TypeVar("_T")


class _Threads:
    """Threads beside the event loop.

    Args:
        count: How many calls they serve at a time.
        waiting: How many more may wait; a further call would wait longer than a second or two.
    """

    def __init__(self, name: str, count: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._most, self._under_way = count + waiting, 0

    async def run(self, work: Callable[[], _T]) -> _T:
        """Compute in one of them.

        Raises:
            Refused: UNAVAILABLE: Too many calls wait already.
        """
        if self._under_way >= self._most:
            raise Refused(ProblemType.UNAVAILABLE, "Too many passwords are being checked. Try again in a moment.")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._under_way -= 1


_hashing = _Threads("argon2", count=2, waiting=100)
_judging = _Threads("strength", count=1, waiting=20)  # of its own: log-ins do not wait for new passwords


def prepared(password: str) -> str:
    """The password as it is hashed (RFC 8265, OpaqueString): in NFC, with plain spaces."""
    return normalize("NFC", _spaced(password))


def _spaced(password: str) -> str:
    return "".join(" " if category(letter) == "Zs" else letter for letter in password)


def _composed(password: str) -> str:
    if len(composed := prepared(password)) < _SHORTEST:
        raise PydanticCustomError("password", f"must have at least {_SHORTEST} characters")
    return composed


def _not_monotonous(password: str) -> str:
    if len(set(password)) < _LETTERS:
        raise PydanticCustomError("password", f"must have at least {_LETTERS} different characters")
    return password


NewPassword = Annotated[
    str,
    StringConstraints(min_length=_SHORTEST, max_length=200),
    Storable,
    AfterValidator(_composed),
    AfterValidator(_not_monotonous),
]
GivenPassword = Annotated[str, StringConstraints(max_length=200), Storable]


def _spellings(password: str) -> Sequence[str]:
    """What is compared with a stored hash: older ones are of the password as it was typed at that time."""
    if password.isascii():
        return (password,)
    typed = (prepared(password), password, normalize("NFC", password), normalize("NFD", password))
    return tuple(dict.fromkeys(typed))


class Verdict(NamedTuple):
    """Whether a password fits, and a better hash where the stored one has old parameters."""

    fits: bool
    better_hash: str | None


async def hash_new_password(password: str) -> str:
    """As `hash_password`, for a password that a person has just chosen.

    Raises:
        Refused: INVALID_REQUEST: The password is too easy to guess.
    """
    if await _judging.run(partial(is_easy_to_guess, password)):
        message = "is too easy to guess; choose a longer one, or other words"
        detail = "Some fields are not valid: see `errors`."
        raise Refused(ProblemType.INVALID_REQUEST, detail, errors=[{"field": "body.password", "message": message}])
    return await hash_password(password)


async def hash_password(password: str) -> str:
    """The argon2id hash to store; it is computed in a thread, and the event loop goes on."""
    return await _hashing.run(partial(_hasher.hash, prepared(password)))


async def check_password(password: str, password_hash: str | None) -> Verdict:
    """Without a hash the password does not fit, and the check takes the same time."""
    verdict = await _hashing.run(partial(_check, password, password_hash or _decoy()))
    return Verdict(verdict.fits and password_hash is not None, verdict.better_hash)


def _check(password: str, password_hash: str) -> Verdict:
    first, *older = _spellings(password)
    fits, better_hash = _hasher.verify_and_update(first, password_hash)
    if not fits and any(_hasher.verify(spelling, password_hash) for spelling in older):
        return Verdict(fits=True, better_hash=_hasher.hash(first))
    return Verdict(fits, better_hash)


@cache
def _decoy() -> str:
    return _hasher.hash("no account has this password")
