"""Buyers in an open loop: arrivals follow the seed and do not wait for responses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from random import Random
from time import monotonic
from typing import NamedTuple

from tests.chaos.buyers import SCRIPTS, Buyer, Sale, Script

RUSH = 8
"""Buyers who want the same seats at the same moment; one party in forty is such a rush."""


class Party(NamedTuple):
    """Buyers who arrive together.

    Attributes:
        script: Their script; None for a rush for `seats`.
    """

    at: float
    size: int
    script: Script | None
    seats: Sequence[str]


def arrivals(seed: int, seconds: float, rate: float, seats: Sequence[str]) -> Iterator[Party]:
    """A Poisson process of parties, `rate` buyers a second on average."""
    random = Random(f"crowd {seed}")
    at = 0.0
    while True:
        size = RUSH if random.random() < 1 / 40 else 1
        at += random.gammavariate(size, 1 / rate)
        if at >= seconds:
            return
        script = random.choices(list(SCRIPTS), list(SCRIPTS.values()))[0] if size == 1 else None
        yield Party(at, size, script, random.sample(seats, 2))


async def buy(sale: Sale, seed: int, parties: Iterator[Party]) -> int:
    """Run all buyers; returns their number."""
    start, came = monotonic(), 0
    async with asyncio.TaskGroup() as crowd:
        for party in parties:
            await asyncio.sleep(max(0, start + party.at - monotonic()))
            for _ in range(party.size):
                buyer = Buyer(sale, f"{came}", Random(f"buyer {seed} {came}"))
                crowd.create_task(_visit(buyer, party))
                came += 1
        sale.closing.set()
    return came


async def _visit(buyer: Buyer, party: Party) -> None:
    await (party.script(buyer) if party.script else buyer.rushes(party.seats))
