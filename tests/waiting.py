"""Waiting for a condition instead of for a time; the limits are those of a quiet machine, and only end a hang."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar, overload

from temporalio.service import RPCError, RPCStatusCode

from tests.pace import slowness

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.03, 0.5

RECOVERY = 20
"""Seconds of a quiet machine within which the API serves a call again after a server has come back."""


class Patience:
    """A limit of time that is stretched once it is reached, by how slow the machine is then."""

    def __init__(self, within: float) -> None:
        """Args: within: Seconds on a quiet machine."""
        self._within, self._started = within, monotonic()
        self._until = self._started + within

    @property
    def left(self) -> float:
        """Seconds before `is_over` has to be asked."""
        return self._until - monotonic()

    async def is_over(self) -> bool:
        """Whether nothing is to be expected any more, however slow the machine is."""
        if self.left > 0:
            return False
        self._until = self._started + self._within * await asyncio.to_thread(slowness)
        return self.left <= 0


@overload
async def eventually(
    condition: Callable[[], Awaitable[T | None]], *, within: float = 60, every: float | None = None
) -> T: ...
@overload
async def eventually(condition: Callable[[], T | None], *, within: float = 60, every: float | None = None) -> T: ...
async def eventually(condition: Callable[[], object], *, within: float = 60, every: float | None = None) -> object:
    """Call `condition` until its answer is true and raises no AssertionError; answer that, or fail after `within` s.

    A workflow that Temporal does not have is no answer yet: a webhook or a schedule may start it later.
    Without `every`, the seconds between two calls grow: most conditions ask a server, and many tests wait at a time.
    """
    patience, pause = Patience(within), every or _FIRST_PAUSE
    while True:
        last: object
        try:
            answer = condition()
            last = await answer if inspect.isawaitable(answer) else answer
            if last:
                return last
        except AssertionError as error:
            last = error
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            last = error
        if await patience.is_over():
            raise AssertionError(f"not within {within} s of a quiet machine; the last answer was {last!r}")
        await asyncio.sleep(pause)
        pause = every or min(pause * 1.3, _LONGEST_PAUSE)


async def in_time(work: Awaitable[T], *, within: float = 60) -> T:
    """The result of the work, which is cancelled if it has none `within` s."""
    task, patience = asyncio.ensure_future(work), Patience(within)
    try:
        while not (await asyncio.wait({task}, timeout=max(0.0, patience.left)))[0]:
            if await patience.is_over():
                raise AssertionError(f"not done within {within} s of a quiet machine")
        return await task
    finally:
        task.cancel()
