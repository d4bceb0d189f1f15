"""How a sweeper goes on: nothing that fails ends its loop, which nothing would start again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

_AWAY = (RedisError, SQLAlchemyError, RPCError, OSError)
"""What a server that is away raises."""

log = structlog.get_logger()


@asynccontextmanager
async def sweeping(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run the loops beside the body; when it is left they have ended, and what they use may be closed."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def keep_sweeping(sweep: Callable[[], Awaitable[None]], every: tuple[float, float], *, interrupted: str) -> None:
    """Sweep again and again, until cancelled.

    Args:
        sweep: Does it once.
        every: The shortest and the longest pause, in seconds.
        interrupted: What the log says where it fails.
    """
    while True:
        try:
            await sweep()
        except Exception as error:
            log.warning(interrupted, error=type(error).__name__, exc_info=not isinstance(error, _AWAY))
        await asyncio.sleep(random.uniform(*every))
