"""Hides how long something took, so that the time of an answer does not reveal what was found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

STEP: Final = 0.1  # seconds; more than a proof of identity takes on a machine that is not overloaded


@asynccontextmanager
async def in_even_time() -> AsyncIterator[None]:
    """Let the block end at a whole multiple of `STEP` after its beginning, also where it raises."""
    started = monotonic()
    try:
        yield
    finally:
        await until(next_step(started))


def next_step(started: float) -> float:
    """The next time of `monotonic` at which a whole multiple of `STEP` has passed since `started`."""
    return started + STEP * ((monotonic() - started) // STEP + 1)


async def until(step: float) -> None:
    """Wait for a time of `monotonic`; where it has passed, for the next whole multiple of `STEP` after it."""
    await asyncio.sleep(max(step, next_step(step)) - monotonic())
