"""(b) Open-loop load on the whole system through REST, at rising rates until it no longer keeps up."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from math import ceil
from typing import NamedTuple

import aiohttp

from bench.client import CONFIRMED, log_in, open_http, publish, register_buyers
from bench.cpu import Cpu, Meter, between, tree
from bench.environment import fresh_stack, pids, settings_of
from bench.figures import Figure, measured, split_up
from bench.generator import Generated, Job, generate
from bench.progress import say
from bench.rounds import Sample, by_process
from stack import Stack

PART = "load"
SYSTEM = ("api", "work", "relay", "consume", "temporal", "postgres", "redis", "kafka", "elasticsearch", "mail")
SEATS = 40_000
SLOWEST_HOLD = 0.5  # seconds, for 99 of 100 holds
KEEPS_UP = 0.95  # of the offered rate
_WARM_UP = 4.0  # bookings a second before the measurement
_SETTLES = 10.0  # seconds


class Step(NamedTuple):
    """The measurement of one rate.

    Attributes:
        sample: The confirmed bookings, and the CPU time of all processes.
    """

    offered: float
    generated: Generated
    sample: Sample

    @property
    def holds(self) -> Sequence[float]:
        """The seconds that each hold took."""
        return [purchase.hold for purchase in self.generated.purchases]

    @property
    def payments(self) -> Sequence[float]:
        """The seconds that each payment took; buyers who did not pay have none."""
        return [each.payment for each in self.generated.purchases if each.payment is not None]

    @property
    def is_sustained(self) -> bool:
        """Whether the system kept up with the offered rate, and holds stayed fast at the 99th percentile."""
        return self.sample.rate >= KEEPS_UP * self.offered and _percentile(self.holds, 99) < SLOWEST_HOLD


async def run(*, rates: Sequence[float], seconds: float, cores: int) -> Sequence[Figure]:
    """Measure each rate for `seconds`; with `cores`, the system without sandbox and generator is limited to them."""
    with fresh_stack() as stack:
        rest = _pin(stack, cores) if cores else None
        meter = Meter(pids(stack, *SYSTEM, "sandbox"))
        api_url = settings_of(stack).api_url
        async with open_http(api_url) as http:
            idle = await _idle(meter)
            sale = _Sale(http, api_url, await register_buyers(http), await publish(http, SEATS), rest)
            await generate(await sale.job(_WARM_UP, seconds))
            steps = [step async for step in _climb(rates, seconds, sale, meter)]
    return [split_up(PART, "idle: CPU in a second, by process", idle, "ms"), *_figures(steps, cores)]


async def _idle(meter: Meter) -> Cpu:
    """CPU milliseconds per second of the idle system, after its start."""
    await asyncio.sleep(_SETTLES)
    before = meter.read()
    await asyncio.sleep(_SETTLES)
    return {name: 1000 * used / _SETTLES for name, used in between(before, meter.read()).items()}


class _Sale:
    """One event, and buyers who log in again for each job, since tokens expire before the last job."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        api_url: str,
        emails: Sequence[str],
        event: str,
        cores: Sequence[int] | None,
    ) -> None:
        self._http = http
        self._api_url = api_url
        self._emails = emails
        self._event = event
        self._cores = cores
        self._jobs = 0
        self._pairs_gone = 0

    async def job(self, rate: float, seconds: float) -> Job:
        """The next job, with seats of its own."""
        job = Job(
            api_url=self._api_url,
            tokens=list(await log_in(self._http, *self._emails)),
            event=self._event,
            event_seats=SEATS,
            skip=self._pairs_gone,
            rate=rate,
            seconds=seconds,
            seed=self._jobs,
            cores=list(self._cores) if self._cores else None,
        )
        self._jobs += 1
        self._pairs_gone += round(rate * seconds)
        return job


async def _climb(rates: Sequence[float], seconds: float, sale: _Sale, meter: Meter) -> AsyncIterator[Step]:
    """Measure rising rates until two in a row are not sustained."""
    failed = 0
    for rate in rates:
        say(f"offered: {rate:g}/s")
        job = await sale.job(rate, seconds)
        before = meter.read()
        generated = await generate(job)
        used = between(before, meter.read())
        step = Step(rate, generated, Sample(_confirmed(generated), generated.seconds, used))
        yield step
        failed = 0 if step.is_sustained else failed + 1
        if failed == 2:
            return


def _confirmed(generated: Generated) -> int:
    return sum(purchase.outcome == CONFIRMED for purchase in generated.purchases)


def _pin(stack: Stack, cores: int) -> Sequence[int]:
    """Pin the system to the first cores and the sandbox to the others; returns the others."""
    available = sorted(os.sched_getaffinity(0))
    own, rest = available[:cores], available[cores:] or available
    for name, pid in pids(stack, *SYSTEM, "sandbox").items():
        for process in tree(pid):
            for thread in os.listdir(f"/proc/{process}/task"):
                os.sched_setaffinity(int(thread), rest if name == "sandbox" else own)
    return rest


def _figures(steps: Sequence[Step], cores: int) -> Sequence[Figure]:
    where = f"on {cores} cores" if cores else "on all cores"
    best = max((step for step in steps if step.is_sustained), key=lambda step: step.offered, default=None)
    must = {"at_least": 12.0} if cores == 2 else {}
    figures = [
        *(_figure(step) for step in steps),
        measured(PART, f"sustained {where}, hold p99 < 500 ms", [best.sample.rate if best else 0], "/s", **must),
    ]
    if best:
        figures += [
            measured(
                PART, "CPU a booking at that rate, without sandbox", [best.sample.cost("sandbox")], "ms", at_most=110
            ),
            split_up(PART, "CPU a booking at that rate, by process", by_process([best.sample]), "ms"),
        ]
    return figures


def _figure(step: Step) -> Figure:
    failures = Counter(each.outcome for each in step.generated.purchases if each.outcome != CONFIRMED)
    words = [
        f"hold {_quantiles(step.holds)}",
        f"payment {_quantiles(step.payments)}",
        f"CPU {step.sample.cost('sandbox'):.0f} ms a booking" if step.sample.done else "",
        ", ".join(f"{number} x {outcome}" for outcome, number in failures.items()),
        "" if step.is_sustained else "NOT SUSTAINED",
    ]
    return Figure(
        PART, f"offered {step.offered:g}/s: completed", "/s", step.sample.rate, words="; ".join(filter(None, words))
    )


def _quantiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    return f"p50 {1000 * _percentile(seconds, 50):.0f}, p99 {1000 * _percentile(seconds, 99):.0f} ms"


def _percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of the values do not exceed."""
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]
