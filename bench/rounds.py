"""Measures contestants in turns, round after round, so that changes of the machine affect all of them."""

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
    """The result of one turn of one contestant.

    Attributes:
        done: The number of completed operations.
        seconds: The duration.
        cpu: CPU seconds by process during it.
    """

    done: int
    seconds: float
    cpu: Cpu

    @property
    def rate(self) -> float:
        """Completed operations in a second."""
        return self.done / self.seconds

    def cost(self, *apart: str) -> float:
        """CPU milliseconds per operation, of all processes except those named."""
        return 1000 * sum(used for name, used in self.cpu.items() if name not in apart) / self.done


async def interleaved(
    rounds: int, contestants: Mapping[str, Callable[[], Awaitable[Result]]]
) -> Mapping[str, Sequence[Result]]:
    """The results by contestant and round; every other round runs backwards, so that none is always last."""
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants) if number % 2 == 0 else reversed(list(contestants)):
            say(f"round {number + 1} of {rounds}: {name}")
            results[name].append(await contestants[name]())
    return results


async def closed_loop(one: Callable[[], Awaitable[None]], *, concurrency: int, seconds: float, meter: Meter) -> Sample:
    """Count the operations of `concurrency` callers in `seconds`; each caller waits for its response."""
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
    """The ratio of both in each round."""
    return [one / other for one, other in zip(ones, others, strict=True)]


def by_process(samples: Sequence[Sample]) -> Mapping[str, float]:
    """The median CPU milliseconds of each process per operation."""
    return {
        name: statistics.median(1000 * sample.cpu[name] / sample.done for sample in samples) for name in samples[0].cpu
    }
