"""A sweeper's loop lives as long as its worker: what fails once is done the next time."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError

from tests.waiting import eventually
from workers.sweepers.loop import keep_sweeping, sweeping


@pytest.mark.parametrize("error", [ConnectionError("away"), RuntimeError("an unexpected error")])
async def test_no_error_ends_a_sweeper(error: Exception) -> None:
    sweeps = 0

    async def sweep() -> None:
        nonlocal sweeps
        sweeps += 1
        if sweeps == 1:
            raise error

    loop = asyncio.create_task(keep_sweeping(sweep, (0.01, 0.02), interrupted="sweep_interrupted"))
    await eventually(lambda: sweeps > 2 or loop.done())
    assert not loop.done()
    loop.cancel()
    await asyncio.wait({loop})
    assert loop.cancelled()  # as at the end of its worker


async def test_a_sweeper_gives_its_connection_back_before_its_worker_closes_them() -> None:
    in_use = asyncio.Event()

    async def sweep() -> None:
        in_use.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # as a connection is given back
            in_use.clear()

    async with sweeping(keep_sweeping(sweep, (0.01, 0.02), interrupted="sweep_interrupted")):
        await in_use.wait()
    assert not in_use.is_set()
