"""Hundreds of bookings over all providers while everything goes wrong by chance, and workers are killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

import pytest

from adapters.payment.registry import PROVIDERS
from audit.run import audit
from config.settings import Settings
from stack import Stack
from tests.chaos import facts
from tests.chaos.settling import operate
from tests.platform_client import PlatformClient
from tests.providers.crowd import OVER, travel
from tests.providers.plan import Plan, Trip, draw
from tests.scale import SEED
from tests.waiting import eventually

BUYERS, KILLS, AT_ONCE = 500, 10, 24
HOLD_SECONDS = 40
SETTLED_WITHIN = 900.0
WORKERS = ("work", "work-random")


def test_the_same_seed_draws_the_same_run() -> None:
    assert draw(7, 500, 10) == draw(7, 500, 10) != draw(8, 500, 10)
    plan = draw(7, 500, 10)
    assert len(plan.kills) == 10
    assert {trip.checkout.name for trip in plan.trips if trip.faults} == set(PROVIDERS)


@pytest.mark.disruptive
@pytest.mark.thorough  # beside chaos and the table of providers
async def test_nothing_is_lost_or_left_unfinished_whatever_happens_by_chance(stack: Stack, settings: Settings) -> None:
    plan = draw(int(SEED), BUYERS, KILLS)
    print(f"\nseed {plan.seed}: SEATWRIGHT_SEED={plan.seed} repeats these {BUYERS} bookings and {KILLS} kills")
    started = monotonic()
    async with PlatformClient(settings) as platform, second_worker(stack):
        event = await platform.event(rows=10, seats_per_row=10, standing=2 * BUYERS, hold_seconds=HOLD_SECONDS)
        bookings = await sell(platform, stack, event, plan)
        sold = monotonic() - started
        await eventually(lambda: is_over(platform, event, plan), within=SETTLED_WITHIN, every=1)
        await eventually(lambda: is_clean(settings, event), within=SETTLED_WITHIN, every=2)
        found = await facts.bookings_of(settings, [event])
    assert set(found) == set(bookings)
    lines = summary(plan, Counter(fact.status for fact in found.values()), sold, monotonic() - started)
    print("\n".join(lines))
    folder = stack.paths.folder / "proof"
    folder.mkdir(exist_ok=True)
    (folder / "providers-random.md").write_text("\n".join(lines) + "\n")


@asynccontextmanager
async def second_worker(stack: Stack) -> AsyncIterator[None]:
    await asyncio.to_thread(stack.spawn, WORKERS[1], "work")
    try:
        yield
    finally:
        await asyncio.to_thread(stack.stop, WORKERS[1])


async def sell(platform: PlatformClient, stack: Stack, event: str, plan: Plan) -> list[str]:
    """Let them all come, some at a time, and kill a worker whenever it is time; the bookings that were made."""
    gate, killing = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def come(trip: Trip) -> str | None:
        async with gate:
            if trip.number in plan.kills:
                async with killing:
                    await kill(stack, WORKERS[plan.kills.index(trip.number) % len(WORKERS)])
            return await travel(platform, event, trip)

    return [booking for booking in await asyncio.gather(*map(come, plan.trips)) if booking]


async def kill(stack: Stack, worker: str) -> None:
    await asyncio.to_thread(stack.kill, worker)
    await asyncio.to_thread(stack.start, worker, wait=False)


async def is_over(platform: PlatformClient, event: str, plan: Plan) -> bool:
    """Whether all bookings have ended; providers decide at last what they left open, operators do what they do."""
    await operate(platform.temporal)
    open_ = {id_: fact.status for id_, fact in (await facts.bookings_of(platform.settings, [event])).items()}
    unfinished = [id_ for id_, status in open_.items() if status not in OVER]
    for booking in open_:
        await platform.provider.settle(booking, "approved" if _coin(plan, booking) else "declined")
    for booking in unfinished:
        await decide_refunds(platform, plan, booking)
    assert not unfinished, Counter(open_[id_] for id_ in unfinished)
    return True


async def decide_refunds(platform: PlatformClient, plan: Plan, booking: str) -> None:
    for face in {str(intent["face"]) for intent in await platform.provider.intents(booking)}:
        pending = await platform.provider.left_pending(booking, face)
        if pending:
            await platform.provider.decide(pending, "succeeded" if _coin(plan, pending) else "failed", face)


def _coin(plan: Plan, what: str) -> bool:
    return bool(sum(f"{plan.seed}{what}".encode()) % 2)


async def is_clean(settings: Settings, event: str) -> bool:
    findings = await audit(settings, [UUID(event)])
    assert not findings, "; ".join(map(str, findings))
    return True


def summary(plan: Plan, endings: Counter[str], sold: float, seconds: float) -> Sequence[str]:
    faults = Counter(str(fault["kind"]) for trip in plan.trips for fault in trip.faults)
    return [
        f"Seed {plan.seed}: {len(plan.trips)} buyers over three providers, {faults.total()} rules of faults,"
        f" {len(plan.kills)} workers killed.",
        f"All had come after {sold:.0f} s; everything had ended and the audit was clean after {seconds:.0f} s.",
        "",
        "| ended as | bookings |",
        "|---|---:|",
        *(f"| {status} | {count} |" for status, count in sorted(endings.items())),
        "",
        "| fault | rules |",
        "|---|---:|",
        *(f"| {kind} | {count} |" for kind, count in sorted(faults.items())),
    ]
