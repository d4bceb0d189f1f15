"""The connections that a pool has given out are shown as they are, also in a rush that it cannot serve."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from db.engine import open_engine

POOL = 2


def shown(what: str) -> float:
    return REGISTRY.get_sample_value(f"seatwright_sql_connections_{what}", {"database": "analytics"}) or 0.0


async def read(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def test_calls_that_give_up_while_the_pool_is_exhausted_are_not_counted_as_connections(
    settings: Settings,
) -> None:
    used, limit = shown("in_use"), shown("limit")
    engine = open_engine(settings.database_url("analytics"), pool_size=POOL)
    assert shown("limit") == limit + POOL
    async with AsyncExitStack() as taken:
        for _ in range(POOL):
            await taken.enter_async_context(engine.connect())
        assert shown("in_use") == used + POOL
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read(engine), 0.05)
        assert shown("in_use") == used + POOL
    assert shown("in_use") == used
    await engine.dispose()
