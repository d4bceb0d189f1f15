"""A rush: transactions that take the same step, one after the other without a pause, several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.engine import open_engine
from domain.problems import ProblemType, Refused
from tests.waiting import eventually, in_time

Step = Callable[[AsyncConnection], Awaitable[object]]

_BUSY = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND (wait_event = 'PgSleep' OR wait_event_type = 'Lock')
"""


@asynccontextmanager
async def rush(url: str, steps: Collection[Step]) -> AsyncIterator[list[asyncio.Task[ProblemType | None]]]:
    """Take each of the steps again and again until the block ends, which begins when the rush is in full swing.

    A step that is refused is not taken again; its task says why.
    """
    engine, is_over = open_engine(url, pool_size=len(steps) + 1, serves_callers=False), asyncio.Event()
    crowd = [asyncio.create_task(_again_and_again(engine, step, is_over)) for step in steps]
    try:
        await eventually(lambda: _is_in_full_swing(engine, len(steps)))
        yield crowd
    finally:
        is_over.set()
        await in_time(asyncio.gather(*crowd))
        await engine.dispose()


async def _again_and_again(engine: AsyncEngine, step: Step, is_over: asyncio.Event) -> ProblemType | None:
    """Each transaction takes its time, and is rolled back."""
    while not is_over.is_set():
        async with engine.connect() as connection:
            try:
                await step(connection)
            except Refused as refused:
                return refused.problem.type
            await connection.execute(text("SELECT pg_sleep(0.02 + 0.02 * random())"))
            await connection.rollback()
    return None


async def _is_in_full_swing(engine: AsyncEngine, size: int) -> bool:
    async with engine.connect() as connection:
        return bool((await connection.execute(text(_BUSY))).scalar_one() >= size // 2)
