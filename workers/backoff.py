"""How long to wait before the next try."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress


def backoff(attempt: int, *, longest: float) -> float:
    """Seconds to wait after so many failures in a row (from 1): doubles from 0.25 up to `longest`, with jitter."""
    return min(longest, 0.25 * 2.0 ** min(attempt - 1, 16)) * random.uniform(0.5, 1.0)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but at most until `stop` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
