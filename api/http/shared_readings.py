"""One reading for all simultaneous requests, so that a costly one costs the same for many as for one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedReadings(Generic[T]):
    """A request that arrives during a reading waits for the next one: no answer is older than its request."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[T]] = {}
        self._next: dict[Hashable, asyncio.Task[T]] = {}

    async def read(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The result of `make`, or of another call's for the same key that begins after this one."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._make(key, make))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps no caller is left
        return await asyncio.shield(task)  # a caller that goes away does not take the reading with it

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        if earlier := self._running.get(key):
            await asyncio.wait([earlier])
        this = self._running[key] = self._next.pop(key)
        try:
            return await make()
        finally:
            if self._running.get(key) is this:
                del self._running[key]
