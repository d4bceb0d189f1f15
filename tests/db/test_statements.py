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


def shown(what: str, pool: str) -> float | None:
    labels = {"database": "analytics", "pool": pool}
    return REGISTRY.get_sample_value(f"seatwright_sql_connections_{what}", labels)


async def read(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


async def test_calls_that_give_up_while_the_pool_is_exhausted_are_not_counted_as_connections(
    settings: Settings,
) -> None:
    engine = open_engine(settings.database_url("analytics"), pool_size=POOL, pool="rush")
    assert (shown("in_use", "rush"), shown("limit", "rush")) == (0, POOL)
    async with AsyncExitStack() as taken:
        for _ in range(POOL):
            await taken.enter_async_context(engine.connect())
        assert shown("in_use", "rush") == POOL
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(read(engine), 0.05)
        assert shown("in_use", "rush") == POOL
    assert shown("in_use", "rush") == 0
    await engine.dispose()


@pytest.mark.parametrize("idle", ["one name", "another name"])
async def test_an_exhausted_pool_is_shown_beside_a_larger_one_that_is_idle(settings: Settings, idle: str) -> None:
    url = settings.database_url("analytics")
    exhausted = open_engine(url, pool_size=1, pool="one name")
    other = open_engine(url, pool_size=20, pool=idle)
    async with exhausted.connect():
        assert (shown("in_use", "one name"), shown("limit", "one name")) == (1, 1)
    await exhausted.dispose()
    await other.dispose()
