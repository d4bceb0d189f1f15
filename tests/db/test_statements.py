"""The connections that a pool has given out are shown as they are, also after a rush that it could not serve."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from api.http.deadlines import abandoned_calls_ended, with_deadline
from config.settings import Settings
from db.engine import open_engine

POOL = 2
LOCK = text("SELECT pg_advisory_lock(20261130)")


def in_use() -> float:
    return REGISTRY.get_sample_value("seatwright_sql_connections_in_use", {"database": "analytics"}) or 0.0


async def wait_for_lock(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(LOCK)


async def test_calls_that_give_up_while_the_pool_is_exhausted_are_not_counted_as_connections(
    settings: Settings,
) -> None:
    blocking = open_engine(settings.database_url("analytics"), pool_size=1)
    engine = open_engine(settings.database_url("analytics"), pool_size=POOL)
    async with blocking.connect() as holder:
        before = in_use()
        await holder.execute(LOCK)
        crowd = [asyncio.create_task(with_deadline(wait_for_lock(engine), 0.2 + n / 50)) for n in range(40)]
        most = 0.0
        for each in crowd:
            with suppress(TimeoutError, PoolTimeout):
                await each
            most = max(most, in_use())
        assert most == before + 2 * POOL
        await abandoned_calls_ended()
        gc.collect()
        assert before <= in_use() <= before + 2 * POOL
    await engine.dispose()
    await blocking.dispose()
