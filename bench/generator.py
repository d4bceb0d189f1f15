"""The load generator: a process of its own that sends each booking when it is due, however slow the responses are."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Sequence
from itertools import islice
from time import perf_counter

import orjson
from pydantic import BaseModel

from bench.client import ApiClient, Purchase, open_http
from bench.environment import neighbours


class Job(BaseModel):
    """The load to generate.

    Attributes:
        rate: Bookings a second; random arrivals (Poisson), reproducible by the seed.
        skip: The number of seat pairs that earlier jobs have used.
        cores: The cores to run on; None for all.
    """

    api_url: str
    tokens: list[str]
    event: str
    event_seats: int
    skip: int
    rate: float
    seconds: float
    seed: int
    cores: list[int] | None


class Generated(BaseModel):
    """The results; `seconds` from the first due time to the last response."""

    purchases: list[Purchase]
    seconds: float


async def generate(job: Job) -> Generated:
    """Run the job in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "generate"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(job.model_dump_json().encode())
    if process.returncode:
        raise RuntimeError(f"the generator ended with {process.returncode}")
    return Generated.model_validate_json(output)


def main() -> None:
    """Read the job from standard input, run it, and write the results to standard output."""
    job = Job.model_validate(orjson.loads(sys.stdin.buffer.read()))
    if job.cores:
        os.sched_setaffinity(0, job.cores)
    sys.stdout.write(asyncio.run(_generate(job)).model_dump_json())


async def _generate(job: Job) -> Generated:
    async with open_http(job.api_url) as http:
        client = ApiClient(http, job.tokens)
        seats = islice(neighbours(job.event_seats), job.skip, None)
        started = perf_counter()
        buying = []
        for due in arrivals(job):
            await asyncio.sleep(started + due - perf_counter())
            buying.append(asyncio.create_task(client.buy(job.event, next(seats), due=started + due)))
        purchases = await asyncio.gather(*buying)
        return Generated(purchases=purchases, seconds=max(job.seconds, perf_counter() - started))


def arrivals(job: Job) -> Sequence[float]:
    """The due time of each booking, at random at the given rate."""
    random_ = random.Random(job.seed)
    return sorted(random_.uniform(0, job.seconds) for _ in range(round(job.rate * job.seconds)))
