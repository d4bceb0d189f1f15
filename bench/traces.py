"""(g) A booking through REST whose processes send their spans to Jaeger, against one whose processes send none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from bench.client import CONFIRMED, ApiClient, log_in, open_http, publish, register_buyers
from bench.cpu import Meter
from bench.environment import fresh_stack, neighbours, pids, settings_of
from bench.figures import Figure, measured, split_up
from bench.rounds import Sample, by_process, closed_loop, interleaved, ratios
from config.settings import Settings
from stack import Stack

PART = "traces"
OURS = ("api", "work", "relay", "consume")
SERVERS = ("postgres", "redis", "temporal", "kafka", "elasticsearch", "mail")
JAEGER = "jaeger"
SEATS = 40_000
DETAILS: float = Settings.model_fields["traces_details"].default
_PLAIN, _TRACED = "without traces", "with traces"


async def run(*, rounds: int, seconds: float, concurrency: int, details: float = DETAILS) -> Sequence[Figure]:
    """Measure each contestant `rounds` times, on a stack of its own.

    Args:
        rounds: Turns of each contestant.
        seconds: Of one turn.
        concurrency: Callers.
        details: The share of the traces with all details; each trace is sent.
    """
    settings = {"SEATWRIGHT_TRACES_DETAILS": str(details)}
    with (
        fresh_stack(name="bench") as plain,
        fresh_stack(name="bench-traced", watched=True, settings=settings) as traced,
    ):
        async with AsyncExitStack() as closing:
            contestants = {
                name: await _turn(stack, closing, concurrency, seconds)
                for name, stack in ((_PLAIN, plain), (_TRACED, traced))
            }
            await interleaved(1, contestants)  # warms up
            return _figures(await interleaved(rounds, contestants))


async def _turn(
    stack: Stack, closing: AsyncExitStack, concurrency: int, seconds: float
) -> Callable[[], Awaitable[Sample]]:
    http = await closing.enter_async_context(open_http(settings_of(stack).api_url))
    client = ApiClient(http, await log_in(http, *await register_buyers(http)))
    event, seats = await publish(http, SEATS), neighbours(SEATS)
    running = [*OURS, *SERVERS, *([JAEGER] if stack.pid(JAEGER) else [])]
    meter = Meter(pids(stack, *running))

    async def buy() -> None:
        purchase = await client.buy(event, next(seats))
        if purchase.outcome != CONFIRMED:
            raise RuntimeError(f"not bought: {purchase.outcome}")

    async def take() -> Sample:
        return await closed_loop(buy, concurrency=concurrency, seconds=seconds, meter=meter)

    return take


def _figures(samples: Mapping[str, Sequence[Sample]]) -> Sequence[Figure]:
    rates = {name: [sample.rate for sample in of] for name, of in samples.items()}
    costs = {name: [sample.cost() for sample in of] for name, of in samples.items()}
    ours = {name: [sample.cost(*SERVERS, JAEGER) for sample in of] for name, of in samples.items()}
    figures = [
        measured(
            PART, "bookings a second, with traces to without", ratios(rates[_TRACED], rates[_PLAIN]), "x", at_least=0.9
        ),
        measured(PART, "CPU of all processes, with traces to without", ratios(costs[_TRACED], costs[_PLAIN]), "x"),
        measured(PART, "CPU of our processes, with traces to without", ratios(ours[_TRACED], ours[_PLAIN]), "x"),
    ]
    for name, of in samples.items():
        figures += [
            measured(PART, f"{name}: completed", rates[name], "/s"),
            split_up(PART, f"{name}: CPU by process", by_process(of), "ms"),
        ]
    return figures
