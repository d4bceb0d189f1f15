"""How slow this machine is now: tests state their limits in seconds of a quiet machine, and stretch them by this."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from math import ceil
from statistics import median
from time import monotonic

_ERRAND = (sys.executable, "-I", "-c", "import asyncio, json")
_QUIET_SECONDS = 0.1  # what the errand takes on a machine of two cores that does nothing else
_SLOWEST = 10.0
_COMPARISONS, _PAIRS = 8, 9
_PAUSE = 3  # errands' lengths, so that measuring does not slow down what is measured


def slowness() -> float:
    """How many times as long as on a quiet machine a piece of work takes now; 1 to 10: beyond that something hangs."""
    started = monotonic()
    subprocess.run(_ERRAND, check=True)
    return min(max(1.0, (monotonic() - started) / _QUIET_SECONDS), _SLOWEST)


def stretched(seconds: float) -> int:
    """Whole seconds in which as much gets done now as on a quiet machine in these: for what has to happen before."""
    return ceil(seconds * slowness())


class Watch:
    """What one block took.

    Attributes:
        seconds: By the clock.
        slowness: How slow the machine was at the worst moment of the block.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slowness = 1.0

    def allows(self, limit: float) -> float:
        """The limit of a quiet machine, in seconds of this machine while the block ran."""
        return limit * self.slowness


@contextmanager
def watch() -> Iterator[Watch]:
    """Time the block, and measure beside it how slow the machine is."""
    watch, over = Watch(), threading.Event()

    def measure() -> None:
        while True:
            now = slowness()
            watch.slowness = max(watch.slowness, now)
            if over.wait(_PAUSE * now * _QUIET_SECONDS):
                return

    measuring = threading.Thread(target=measure, daemon=True)
    measuring.start()
    started = monotonic()
    try:
        yield watch
    finally:
        watch.seconds = monotonic() - started
        over.set()
        measuring.join()


async def take_alike_long(one: Callable[[], Awaitable[None]], other: Callable[[], Awaitable[None]]) -> None:
    """Fail unless two calls take about as long; on a busy machine a single comparison means little."""
    ratios: list[float] = []
    for _ in range(_COMPARISONS):
        pairs = [(await _seconds(one), await _seconds(other)) for _ in range(_PAIRS)]
        first, second = (median(each) for each in zip(*pairs, strict=True))
        ratios.append(first / second)
        if 0.4 < ratios[-1] < 2.5:
            return
    raise AssertionError(f"one takes so many times as long as the other: {ratios}")


async def _seconds(call: Callable[[], Awaitable[None]]) -> float:
    started = monotonic()
    await call()
    return monotonic() - started
