"""(e) What a booking costs at a small and at a large event, with empty tables and with a long past in them.

Two stacks stand side by side, one with a past, so that all four cases take turns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

import aiohttp

from bench import past
from bench.cpu import Meter
from bench.figures import Figure, measured, split_up
from bench.load import SYSTEM
from bench.rounds import Sample, by_process, closed_loop, interleaved, ratios
from bench.shop import CONFIRMED, Shop, client, log_in, publish, register_buyers
from bench.stage import NAME, fresh_stack, neighbours, pids, settings_of

PART = "size"
SMALL, LARGE = 1_000, 80_000  # seats


class Case(NamedTuple):
    """An event's seats, and how many bookings there were before."""

    seats: int
    past: int

    def __str__(self) -> str:
        return f"{self.seats:,} seats, {self.past:,} bookings before"


async def run(*, rounds: int, seconds: float, concurrency: int, bookings: int) -> Sequence[Figure]:
    """The figures, from so many turns of each case; `bookings` is how long the past is."""
    async with AsyncExitStack() as open_:
        young, old = (open_.enter_context(fresh_stack(name=name)) for name in (NAME, f"{NAME}-old"))
        past.fill(settings_of(old), bookings)
        contestants: dict[str, Callable[[], Awaitable[Sample]]] = {}
        for stack, before in ((young, 0), (old, bookings)):
            http = await open_.enter_async_context(client(settings_of(stack).api_url))
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
    """Events of that size, and what to buy of them, one after the other."""
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
    shop = Shop(http, await log_in(http, *emails))

    async def buy() -> None:
        purchase = await shop.buy(*next(places))
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
            measured(PART, f"{case_}: CPU, sandbox apart", costs[case_], "ms"),
            measured(PART, f"{case_}: completed", [sample.rate for sample in of], "/s"),
            split_up(PART, f"{case_}: CPU by process", by_process(of), "ms"),
        ]
    return figures
