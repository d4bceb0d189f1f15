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
        await until_even(started)


async def until_even(started: float) -> None:
    """Wait until a whole multiple of `STEP` has passed since a time of `monotonic`."""
    await asyncio.sleep(STEP - (monotonic() - started) % STEP)
