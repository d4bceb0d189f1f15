"""A caller whose deadline ends gives its connection back, in whatever turn of the event loop that happens."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from itertools import count

import pytest
from psycopg import waiting
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import autocommit

_TRANSACTION = text("SELECT pg_current_xact_id()")


async def test_no_caller_that_is_cancelled_in_a_busy_loop_loses_its_connection(
    reservation: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await _read(reservation)
    async for _ in _cancelled(reservation):
        pass
    gc.collect()
    assert "garbage collector" not in caplog.text


async def test_after_cancelled_callers_a_transaction_is_one_transaction(reservation: AsyncEngine) -> None:
    await _read(reservation)
    async for turns in _cancelled(reservation):
        async with reservation.begin() as connection:
            first = await connection.scalar(_TRANSACTION)
            assert await connection.scalar(_TRANSACTION) == first, f"after {turns} turns"


async def _cancelled(engine: AsyncEngine) -> AsyncIterator[int]:
    """Cancel a read in each turn of a busy loop that it needs."""
    for turns in count():
        reading = asyncio.create_task(_read(engine))
        for _ in range(turns):
            time.sleep(2 * waiting.MAX_BUSY_TIME)  # noqa: ASYNC251 - a busy loop, in which psycopg lets others run
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled():
            assert turns > 2
            return
        yield turns


async def _read(engine: AsyncEngine) -> None:
    async with autocommit(engine) as connection:
        await connection.execute(text("SELECT 1"))
