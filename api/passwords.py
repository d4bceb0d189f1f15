"""Password hashes (argon2id), computed beside the event loop and only so many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

# OWASP's smallest recommendation: each hash costs some 20 ms of a core and 19 MiB, so that a crowd can log in.
_hasher = PasswordHash([Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)])
_AT_ONCE = 2
_T = TypeVar("_T")


async def hash_password(password: str) -> str:
    return await _beside(partial(_hasher.hash, password))


async def is_password(password: str, password_hash: str | None) -> bool:
    """Whether the password fits; without a hash it does not, after the same time as with one."""
    fits = await _beside(partial(_hasher.verify, password, password_hash or _decoy()))
    return fits and password_hash is not None


async def _beside(work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(_executor(), work)


@cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")


@cache
def _decoy() -> str:
    return _hasher.hash("nobody has this password")
