"""(e) The cost of a booking at a small and a large event, with empty tables and with a long history.

Two stacks run side by side, one of them with a history, so that all four cases take turns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

import aiohttp

from bench.client import CONFIRMED, ApiClient, log_in, open_http, publish, register_buyers
from bench.cpu import Meter
from bench.environment import NAME, fresh_stack, neighbours, pids, settings_of
from bench.figures import Figure, measured, split_up
from bench.load import SYSTEM
from bench.rounds import Sample, by_process, closed_loop, interleaved, ratios
from bench.seed_history import seed_history

PART = "size"
SMALL, LARGE = 1_000, 80_000  # seats


class Case(NamedTuple):
    """The number of seats of the event, and of earlier bookings in the tables."""

    seats: int
    history: int

    def __str__(self) -> str:
        return f"{self.seats:,} seats, {self.history:,} bookings before"


async def run(*, rounds: int, seconds: float, concurrency: int, bookings: int) -> Sequence[Figure]:
    """Measure each case `rounds` times; `bookings` is the length of the history."""
    async with AsyncExitStack() as open_:
        young, old = (open_.enter_context(fresh_stack(name=name)) for name in (NAME, f"{NAME}-old"))
        seed_history(settings_of(old), bookings)
        contestants: dict[str, Callable[[], Awaitable[Sample]]] = {}
        for stack, before in ((young, 0), (old, bookings)):
            http = await open_.enter_async_context(open_http(settings_of(stack).api_url))
            emails = await register_buyers(http)
            meter = Meter(pids(stack, *SYSTEM, "sandbox"))
            for seats, events in ((SMALL, rounds + 2), (LARGE, 1)):
                places = await _put_on_sale(http, seats, events)
                turn = partial(_take_turn, http, emails, places, concurrency=concurrency, meter=meter)
                await turn(seconds=5)  # to warm up
                contestants[str(Case(seats, before))] = partial(turn, seconds=seconds)
        samples = await interleaved(rounds, contestants)
    return _figures(samples, bookings)


async def _put_on_sale(http: aiohttp.ClientSession, seats: int, events: int) -> Iterator[tuple[str, Sequence[str]]]:
    """Publish events of this size; returns the seats to buy, one pair after the other."""
    published = [await publish(http, seats) for _ in range(events)]
    return ((event, pair) for event in published for pair in neighbours(seats))


async def _take_turn(
    http: aiohttp.ClientSession,
    emails: Sequence[str],
    places: Iterator[tuple[str, Sequence[str]]],
    *,
    concurrency: int,
    seconds: float,
    meter: Meter,
) -> Sample:
    client = ApiClient(http, await log_in(http, *emails))

    async def buy() -> None:
        purchase = await client.buy(*next(places))
        if purchase.outcome != CONFIRMED:
            raise RuntimeError(f"not bought: {purchase.outcome}")

    return await closed_loop(buy, concurrency=concurrency, seconds=seconds, meter=meter)


def _figures(samples: Mapping[str, Sequence[Sample]], bookings: int) -> Sequence[Figure]:
    costs = {case: [sample.cost("sandbox") for sample in of] for case, of in samples.items()}
    base = costs[str(Case(SMALL, 0))]
    figures = []
    for case, name in (
        (Case(LARGE, 0), f"cost at {LARGE:,} seats against {SMALL:,}"),
        (Case(SMALL, bookings), f"cost with {bookings:,} bookings before against none"),
        (Case(LARGE, bookings), "cost with both against the small case"),
    ):
        figures.append(measured(PART, name, ratios(costs[str(case)], base), "x", at_most=1.2))
    for case_, of in samples.items():
        figures += [
            measured(PART, f"{case_}: CPU without sandbox", costs[case_], "ms"),
            measured(PART, f"{case_}: completed", [sample.rate for sample in of], "/s"),
            split_up(PART, f"{case_}: CPU by process", by_process(of), "ms"),
        ]
    return figures
