"""A process that stands still right before it calls Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from adapters.redis.seat_locks import SeatLocks


class Stopped:
    """Stops calls of one script of Redis, right before it is sent."""

    def __init__(self, locks: SeatLocks, script: str) -> None:
        self._send: Callable[..., Awaitable[Any]] = getattr(locks, f"_{script}")
        self._may_go, self.has_come, self.is_done = asyncio.Event(), asyncio.Event(), asyncio.Event()
        setattr(locks, f"_{script}", self)

    async def __call__(self, **arguments: Any) -> Any:
        self.has_come.set()
        await self._may_go.wait()
        answer = await self._send(**arguments)
        self.is_done.set()
        return answer

    async def go(self) -> None:
        self._may_go.set()
        await self.is_done.wait()
