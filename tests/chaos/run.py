"""One run: sell during faults, repair everything, let it settle, and check all responses and the audit."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx2

from audit.run import Finding, audit
from config.settings import Settings
from stack import Stack
from tests.chaos import consumers, explain, facts
from tests.chaos.buyers import Sale
from tests.chaos.crowd import arrivals, buy
from tests.chaos.harness import Harness, opened
from tests.chaos.journal import Call, Journal, Verdict
from tests.chaos.plan import Strike, draw
from tests.chaos.saboteur import Saboteur
from tests.chaos.settling import Settled, settle
from tests.http_client import http_client
from tests.platform_client import PlatformClient
from tests.tokens import access_tokens

HOLD_SECONDS, BRIEF_HOLD_SECONDS = 20, 5
SEATS_PER_ROW = 20
PEOPLE = 5  # few, since it is slow to make an account, on purpose
_ANSWER_WITHIN = 25.0  # more than the API waits for anything: a call without an answer by then gets none

Tally = Counter[tuple[Call, Verdict]]


class Result(NamedTuple):
    """The result of one run.

    Attributes:
        folder: Where plan, log and journal are.
        first: Orders by call and first answer; `last`: by the answer that they have in the end.
        bookings: Rows by status.
        died: Processes that ended without being told to.
        put_aside: Dead letters that were added.
    """

    folder: Path
    strikes: Sequence[Strike]
    buyers: int
    first: Tally
    last: Tally
    bookings: Counter[str]
    died: Counter[str]
    settled: Settled
    put_aside: int
    findings: Sequence[Finding]
    unexplained: Sequence[str]

    @property
    def is_clean(self) -> bool:
        return not (self.settled.left or self.put_aside or self.findings or self.unexplained)


async def run(stack: Stack, settings: Settings, *, seed: int, seconds: float, rate: float) -> Result:
    """Run chaos on a running stack.

    Args:
        rate: Buyers a second; they come whether or not earlier ones have been served.
    """
    folder = stack.paths.folder / "chaos" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-seed-{seed}"
    folder.mkdir(parents=True)
    timetable = draw(seed, seconds)
    (folder / "plan.txt").write_text("".join(f"{strike}\n" for strike in timetable))
    async with opened(stack) as harness, _sale(settings, harness, folder, places=math.ceil(3 * rate * seconds)) as sale:
        aside = await asyncio.to_thread(consumers.put_aside, settings.kafka_bootstrap)
        tell = _log(folder / "log.txt")
        saboteur = Saboteur(harness, settings.sandbox_url, tell)
        buyers, _ = await asyncio.gather(
            buy(sale, seed, arrivals(seed, seconds, rate, sale.seats)), saboteur.carry_out(timetable)
        )
        orders = sale.journal.orders
        first = Counter((order.call, order.answers[0].verdict) for order in orders if order.answers)
        await saboteur.heal()
        settled = await settle(sale, tell)
        known = await facts.bookings_of(settings, [sale.event, sale.brief])
        stray = await facts.money_of(settings, sorted({order.booking for order in orders} - known.keys()))
        return Result(
            folder=folder,
            strikes=timetable,
            buyers=buyers,
            first=first,
            last=Counter((order.call, order.verdict) for order in orders),
            bookings=Counter(fact.status for fact in known.values()),
            died=saboteur.died,
            settled=settled,
            put_aside=await asyncio.to_thread(consumers.put_aside, settings.kafka_bootstrap) - aside,
            findings=await audit(settings),
            unexplained=explain.unexplained(orders, known, stray),
        )


def _log(path: Path) -> Callable[[str], None]:
    """Returns a function that prints a line with the seconds since its creation."""
    start = monotonic()

    def tell(text: str) -> None:
        with path.open("a") as log:
            log.write(f"{monotonic() - start:7.2f}  {text}\n")

    return tell


@asynccontextmanager
async def _sale(settings: Settings, harness: Harness, folder: Path, *, places: int) -> AsyncIterator[Sale]:
    """Publish two events of this size; yields them with a client for every API."""
    rows = math.ceil(places / SEATS_PER_ROW / 2)
    async with AsyncExitStack() as closing:
        platform = await closing.enter_async_context(PlatformClient(settings))
        journal = Journal(folder / "journal.jsonl")
        closing.callback(journal.close)
        many = httpx2.Limits(max_connections=None)
        apis = {
            name: await closing.enter_async_context(
                http_client(f"http://127.0.0.1:{port}", timeout=_ANSWER_WITHIN, limits=many)
            )
            for name, port in harness.api_ports.items()
        }
        size: dict[str, Any] = {"rows": rows, "seats_per_row": SEATS_PER_ROW, "standing": places}
        yield Sale(
            settings,
            access_tokens(settings),
            journal,
            event=await platform.event(hold_seconds=HOLD_SECONDS, **size),
            brief=await platform.event(hold_seconds=BRIEF_HOLD_SECONDS, **size),
            brief_seconds=BRIEF_HOLD_SECONDS,
            seats=[
                f"{section}-{row + 1}-{seat + 1}"
                for section in "AB"
                for row in range(rows)
                for seat in range(SEATS_PER_ROW)
            ],
            people=[await _register(apis["api"]) for _ in range(PEOPLE)],
            apis=apis,
            closing=asyncio.Event(),
        )


async def _register(api: httpx2.AsyncClient) -> UUID:
    person = {"email": f"{uuid4()}@example.test", "password": f"chaos-{uuid4()}", "name": "Somebody"}
    return UUID((await api.post("/v1/users", json=person)).raise_for_status().json()["id"])
