"""Contestants side by side: round after round in turn, so that a machine's moods meet all of them alike."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import NamedTuple, TypeVar

from bench.cpu import Cpu, Meter, between
from bench.progress import say

Result = TypeVar("Result")


class Sample(NamedTuple):
    """What one round of one contestant came to.

    Attributes:
        done: How many were completed.
        seconds: How long that took.
        cpu: CPU seconds by process meanwhile.
    """

    done: int
    seconds: float
    cpu: Cpu

    @property
    def rate(self) -> float:
        return self.done / self.seconds

    def cost(self, *apart: str) -> float:
        """CPU milliseconds for each, of all processes but those named."""
        return 1000 * sum(used for name, used in self.cpu.items() if name not in apart) / self.done


async def interleaved(
    rounds: int, contestants: Mapping[str, Callable[[], Awaitable[Result]]]
) -> Mapping[str, Sequence[Result]]:
    """Each contestant's results by round; every other round goes backwards, so that none always comes last."""
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants) if number % 2 == 0 else reversed(list(contestants)):
            say(f"round {number + 1} of {rounds}: {name}")
            results[name].append(await contestants[name]())
    return results


async def closed_loop(one: Callable[[], Awaitable[None]], *, concurrency: int, seconds: float, meter: Meter) -> Sample:
    """As many as can be done for some seconds by so many callers, each of whom waits for its answer."""
    done = 0
    before, started = meter.read(), perf_counter()

    async def caller() -> None:
        nonlocal done
        while perf_counter() < started + seconds:
            await one()
            done += 1

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    took = perf_counter() - started
    return Sample(done, took, between(before, meter.read()))


def ratios(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """One against the other, each round by itself."""
    return [one / other for one, other in zip(ones, others, strict=True)]


def by_process(samples: Sequence[Sample]) -> Mapping[str, float]:
    """The median CPU milliseconds that each process used for one."""
    return {
        name: statistics.median(1000 * sample.cpu[name] / sample.done for sample in samples) for name in samples[0].cpu
    }
