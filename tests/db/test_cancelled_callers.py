"""A caller whose deadline ends gives its connection back, in whatever turn of the event loop that happens."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest
from psycopg import waiting
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import autocommit

_TURNS = 12  # of the event loop; a read needs fewer
_TRANSACTION = text("SELECT pg_current_xact_id()")


async def test_no_caller_that_is_cancelled_in_a_busy_loop_loses_its_connection(
    reservation: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await _read(reservation)
    cancelled = [await _cancelled_after(reservation, turns) for turns in range(_TURNS)]
    gc.collect()
    assert cancelled[1]
    assert not cancelled[-1]
    assert "garbage collector" not in caplog.text


async def test_after_cancelled_callers_a_transaction_is_one_transaction(reservation: AsyncEngine) -> None:
    await _read(reservation)
    for turns in range(_TURNS):
        await _cancelled_after(reservation, turns)
        async with reservation.begin() as connection:
            first = await connection.scalar(_TRANSACTION)
            assert await connection.scalar(_TRANSACTION) == first, f"after {turns} turns"


async def _read(engine: AsyncEngine) -> None:
    async with autocommit(engine) as connection:
        await connection.execute(text("SELECT 1"))


async def _cancelled_after(engine: AsyncEngine, turns: int) -> bool:
    """Whether a read is cancelled that has had these turns."""
    reading = asyncio.create_task(_read(engine))
    for _ in range(turns):
        time.sleep(2 * waiting.MAX_BUSY_TIME)  # noqa: ASYNC251 - a busy loop, in which psycopg lets others run
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    return reading.cancelled()
