"""Measures how long the event loop is blocked: all other callers of the process wait for that long."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from prometheus_client import Gauge

_EVERY: Final = 0.1  # seconds; a stall may be seen as that much shorter, and each wake-up costs an idle process
_SPAN: Final = 60  # seconds: longer than the pause between two reads of the metrics

_LONGEST: Final = Gauge(
    "seatwright_loop_longest_stall_seconds", "Longest time that the event loop was blocked, in the last 1 to 2 minutes"
)


class StallWatch:
    """The longest stall of this span of time, and of the one before."""

    def __init__(self) -> None:
        self._spans: deque[tuple[int, float]] = deque(maxlen=2)

    def add(self, stall: float, at: float) -> None:
        """Count a stall of so many seconds, seen at a time of the monotonic clock."""
        span = int(at // _SPAN)
        if self._spans and self._spans[-1][0] == span:
            self._spans[-1] = (span, max(stall, self._spans[-1][1]))
        else:
            self._spans.append((span, stall))

    def longest(self, at: float) -> float:
        """The longest stall in seconds, of this span and the one before."""
        return max((stall for span, stall in self._spans if span >= at // _SPAN - 1), default=0.0)


async def _run(watch: StallWatch) -> None:
    due = time.monotonic()
    while True:
        await asyncio.sleep(_EVERY)
        now = time.monotonic()
        watch.add(max(0.0, now - due - _EVERY), now)
        due = now


@asynccontextmanager
async def stalls_watched() -> AsyncIterator[StallWatch]:
    """Watch the running event loop for as long as this is open, and publish its longest stall as a metric."""
    watch = StallWatch()
    _LONGEST.set_function(lambda: watch.longest(time.monotonic()))
    running = asyncio.create_task(_run(watch))
    try:
        yield watch
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
