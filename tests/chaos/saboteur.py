"""Executes the plan of faults and repairs them; also restarts processes that die by themselves."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic

import httpx2
from redis.exceptions import RedisError

from stack import StackError
from tests.chaos.harness import RESIDENTS, Harness
from tests.chaos.plan import Strike
from tests.http_client import http_client

_SUPERVISE_EVERY = 1.0


class Saboteur:
    """Executes a plan.

    Attributes:
        died: The number of unplanned exits of each process, which a supervisor must restart.
    """

    def __init__(self, harness: Harness, sandbox_url: str, tell: Callable[[str], None]) -> None:
        self._harness = harness
        self._provider = http_client(sandbox_url, timeout=5)
        self._tell = tell
        self._down: set[str] = set()
        self._start = monotonic()
        self.died = Counter[str]()

    async def carry_out(self, timetable: Sequence[Strike]) -> None:
        """Execute all faults in time; faults of one target wait for each other."""
        lanes: dict[str, list[Strike]] = defaultdict(list)
        for number, strike in enumerate(timetable):
            lane = f"line {strike.target}" if strike.is_on_line else strike.target
            lanes[f"provider {number}" if strike.kind == "provider" else lane].append(strike)
        self._start = monotonic()
        supervisor = asyncio.create_task(self._supervise())
        try:
            async with asyncio.TaskGroup() as at_once:
                for strikes in lanes.values():
                    at_once.create_task(self._walk(strikes))
        finally:
            supervisor.cancel()

    async def heal(self) -> None:
        """Start all processes, and remove the faults of network and provider."""
        for name in RESIDENTS:
            self._harness.thaw(name)
        for line in self._harness.lines.values():
            await line.heal()
        for name in RESIDENTS:  # servers come first
            await self._harness.make_ready(name)
            self._tell(f"{name} serves")
        await self._provider.delete("/_sandbox/faults")
        await self._provider.aclose()
        self._tell("all is mended")

    async def _walk(self, strikes: Sequence[Strike]) -> None:
        for strike in strikes:
            await asyncio.sleep(max(0, self._start + strike.at - monotonic()))
            self._tell(f"{strike.kind} {strike.target}")
            await self._do(strike)
            self._tell(f"{strike.kind} {strike.target} is over")

    async def _do(self, strike: Strike) -> None:
        doings = {"kill": self._kill, "freeze": self._freeze, "empty": self._empty, "provider": self._mislead}
        await doings.get(strike.kind, self._spoil_line)(strike)

    async def _kill(self, strike: Strike) -> None:
        self._down.add(strike.target)
        await self._harness.kill(strike.target)
        await asyncio.sleep(strike.lasts)
        await self._bring_back(strike.target)
        self._down.discard(strike.target)

    async def _freeze(self, strike: Strike) -> None:
        self._harness.freeze(strike.target)
        await asyncio.sleep(strike.lasts)
        self._harness.thaw(strike.target)

    async def _empty(self, strike: Strike) -> None:
        with suppress(RedisError, OSError):  # it may be down itself
            await self._harness.empty_redis()

    async def _spoil_line(self, strike: Strike) -> None:
        line = self._harness.lines[strike.target]
        spoil: Callable[[], Awaitable[None]] = {
            "slow": lambda: line.slow(strike.lasts / 10, strike.lasts / 20),
            "cut": line.cut,
            "black_hole": line.black_hole,
            "reset": line.reset,
        }[strike.kind]
        await spoil()
        await asyncio.sleep(strike.lasts)
        await line.heal()

    async def _mislead(self, strike: Strike) -> None:
        with suppress(httpx2.HTTPError):  # the provider may be down itself
            rule = (await self._provider.post("/_sandbox/faults", json=strike.fault)).raise_for_status().json()["id"]
            await asyncio.sleep(strike.lasts)
            await self._provider.delete(f"/_sandbox/faults/{rule}")

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(_SUPERVISE_EVERY)
            for name in RESIDENTS:
                if name not in self._down and not self._harness.is_running(name):
                    self.died[name] += 1
                    self._tell(f"{name} has ended by itself")
                    await self._bring_back(name)

    async def _bring_back(self, name: str) -> None:
        try:
            await self._harness.start(name)
        except StackError as error:  # the next round of the supervisor tries again
            self._tell(f"{name} could not be started: {error}")
