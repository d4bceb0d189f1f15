"""Deletes what nothing checks any more: old revocations, and sessions and grants that ended some time ago.

It has a task of its own: what it deletes may take long, and revocations must be read once a second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from api.auth.key_sync import OVERLAP
from api.auth.tokens import LIFETIME
from api.http.deadlines import DEADLINE
from api.http.resources import Resources
from db.engine import autocommit
from db.identity import pruning, revocations

EVERY: Final = 30.0
"""Seconds between two rounds."""

_ROUND: Final = 5.0
"""Seconds after which a round begins no further batch."""

_LONGEST: Final = 20.0
"""Seconds after which a round ends in the middle of a batch, which is then not deleted."""

_AGE: Final = timedelta(seconds=LIFETIME + 2 * OVERLAP)


@asynccontextmanager
async def upkeep(opened: Resources) -> AsyncIterator[None]:
    """Delete for as long as this is open, if the process has identity's database."""
    database = opened.engines.get("identity")
    if database is None:
        yield
        return
    running = asyncio.create_task(_run(database))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait({running}, timeout=DEADLINE)  # so that no connection of it is left open


async def _run(database: AsyncEngine) -> None:
    while True:
        try:
            async with asyncio.timeout(_LONGEST):
                await delete_old(database)
        except Exception as error:  # the next round tries again
            structlog.get_logger().warning("tokens: could not delete what is old", error=type(error).__name__)
        await asyncio.sleep(EVERY)


async def delete_old(database: AsyncEngine) -> None:
    """Do one round: batch after batch, until nothing is left or it has taken five seconds."""
    begun_at = time.monotonic()
    async with autocommit(database) as connection:
        await revocations.forget(connection, _AGE)
        while await pruning.prune(connection) and time.monotonic() - begun_at < _ROUND:
            pass
