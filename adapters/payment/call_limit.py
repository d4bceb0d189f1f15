"""How many calls a second all our workers together make to one payment provider: turns, by Redis's clock.

GCRA: turns are a fixed interval apart, so that no second ever has more of them than the limit says. Each task
waits for a turn before it calls. Waiting tasks of one process ask Redis together, so that a rush costs few round trips.
The `limits` library can only refuse, at one round trip a call; here Redis answers when the turn comes.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from math import inf
from pathlib import Path
from time import monotonic
from typing import cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.payment_gateway import CONVERSATION, IS_URGENT

_SCRIPT = Path(__file__).with_name("take_turns.lua").read_text()

_AHEAD = 1.0  # seconds; turns further off are not taken, so that few are left unused by tasks that give up
_AHEAD_TO_BEGIN = 0.5  # the same for a new payment: it gets no turn while others are taken further ahead
_AHEAD_OF_THE_REST = 0.25  # the same for calls that no buyer waits for: they get no turn while a new payment waits
_PAUSE = (0.25, 0.5)  # parts of these, after which turns are asked for again: before the next line can get them
_LEAST = 20  # the rest of a process gets one of so many turns, also while all the others are wanted by payments
_AT_ONCE = 50
_PATIENCE = 0.5  # seconds for Redis's answer
_AWAY = 2.0  # seconds that Redis is left alone after it failed

Take = Callable[[int, float], Awaitable[tuple[int, float]]]

log = structlog.get_logger()


class _Line:
    """Tasks of this process that wait for their turns in order, and ask for them together.

    Args:
        take: Asks for turns.
        interval: Between two turns, in seconds.
        ahead: How far ahead turns are taken, in seconds.
        patience: So many seconds without a turn, and one is taken as far ahead as any.
    """

    def __init__(self, take: Take, interval: float, ahead: float, patience: float = inf) -> None:
        self._take = take
        self._interval = interval
        self._ahead = ahead
        self._patience = patience
        self._waiting: deque[asyncio.Future[float]] = deque()
        self._asking: asyncio.Task[None] | None = None

    async def wait(self, *, first: bool = False) -> None:
        """Wait for a turn of this task; `first`: before those that wait already."""
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        if self._asking is None or self._asking.done():
            # In a context of its own: it asks for all that wait, and is in the trace of none.
            self._asking = asyncio.create_task(self._ask(), context=Context())
        delay = await turn - monotonic()
        if delay > 0:
            await asyncio.sleep(delay)

    async def _ask(self) -> None:
        """Take turns for all tasks that wait, until none does."""
        last = monotonic()
        while self._without_those_who_gave_up():
            is_due = monotonic() - last > self._patience
            wanted = 1 if is_due else min(len(self._waiting), _AT_ONCE)
            granted, first = await self._take(wanted, _AHEAD if is_due else self._ahead)
            if granted:
                last = monotonic()
            for place in range(min(granted, self._without_those_who_gave_up())):
                self._waiting.popleft().set_result(first + place * self._interval)
            if granted < wanted:
                await asyncio.sleep(self._ahead * random.uniform(*_PAUSE))

    def _without_those_who_gave_up(self) -> int:
        self._waiting = deque(turn for turn in self._waiting if not turn.done())
        return len(self._waiting)


class CallLimit:
    """A provider's limit; must be used within one event loop.

    Without Redis each process keeps the limit by itself. Payments must not stop for it: a provider that gets too many
    calls answers 429, which is respected, but a buyer who cannot pay is lost.
    """

    def __init__(self, redis: Redis, provider: str, calls_per_second: float) -> None:
        """Args: calls_per_second: For all processes that use this Redis together."""
        self._script = redis.register_script(_SCRIPT)
        self._key = f"seatwright:calls:{provider}"
        self._provider = provider
        self._interval = 1 / calls_per_second
        self._begun = _Line(self._take, self._interval, _AHEAD)
        self._new = _Line(self._take, self._interval, _AHEAD_TO_BEGIN)
        self._rest = _Line(self._take, self._interval, _AHEAD_OF_THE_REST, _LEAST * self._interval)
        self._own_next = 0.0  # monotonic; the next turn without Redis
        self._redis_away_until = 0.0
        self._kept: ContextVar[bool] = ContextVar(f"turn at {provider}", default=False)

    async def keep_turn(self, *, begins: bool = False) -> None:
        """Wait for a turn for this task's next call, which then need not wait.

        It is for a caller that reads the clock between the wait and the call.

        Args:
            begins: The call begins a payment. It comes after the calls of payments that were begun, and before those
                that no buyer waits for.
        """
        if not self._kept.get():
            await (self._new.wait() if begins else self._wait())
            self._kept.set(True)

    async def turn(self) -> None:
        """Wait until a call may be made, however long it takes."""
        if self._kept.get():
            self._kept.set(False)
        else:
            await self._wait()

    async def _wait(self) -> None:
        """Of the rest, a conversation that has had a turn goes first: else all begin, and none ends within its time."""
        if IS_URGENT.get():
            await self._begun.wait()
            return
        conversation = CONVERSATION.get()
        await self._rest.wait(first=conversation is not None and conversation.has_begun)
        if conversation:
            conversation.has_begun = True

    async def _take(self, wanted: int, ahead: float) -> tuple[int, float]:
        """How many turns were taken, and when the first of them is (monotonic)."""
        if monotonic() >= self._redis_away_until:
            asked = self._script(keys=[self._key], args=[round(self._interval * 1e6), wanted, round(ahead * 1e6)])
            try:
                granted, micros = cast("list[int]", await asyncio.wait_for(asked, _PATIENCE))
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("call_limit_without_redis", provider=self._provider, error=type(error).__name__)
                self._redis_away_until = monotonic() + _AWAY
            else:
                return granted, monotonic() + micros / 1e6
        first = max(self._own_next, monotonic())
        granted = min(wanted, max(0, 1 + int((monotonic() + ahead - first) / self._interval)))
        self._own_next = first + granted * self._interval
        return granted, first
