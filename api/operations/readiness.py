"""Keeps the answer of the readiness checks for a moment: every caller may ask, and each check costs our servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

_KEPT: Final = 1.0  # seconds

Checks = Mapping[str, str]


class Readiness:
    """The latest results, which all callers of a process share; so do those who come while it is checked."""

    def __init__(self) -> None:
        self._results: Checks = {}
        self._at = -_KEPT
        self._checking: asyncio.Task[Checks] | None = None

    async def results(self, check: Callable[[], Awaitable[Checks]]) -> Checks:
        """The outcome of each check by its name, at most a second old."""
        if self._checking is None:
            if time.monotonic() - self._at < _KEPT:
                return self._results
            self._checking = asyncio.create_task(self._check(check))
        return await asyncio.shield(self._checking)

    async def _check(self, check: Callable[[], Awaitable[Checks]]) -> Checks:
        try:
            self._results = await check()
            self._at = time.monotonic()
        finally:
            self._checking = None
        return self._results
