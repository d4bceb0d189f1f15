"""Runs long calculations in a thread, one at a time, so that at most one of them competes with the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from domain.problems import ProblemType, Refused

P = ParamSpec("P")
T = TypeVar("T")

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="off-loop")


async def off_loop(calculation: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """The result of a calculation that would hold the event loop for some milliseconds or more."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, lambda: calculation(*args, **named))


class Queue:
    """Calculations of one kind that anyone may ask for. They wait here, and one at a time goes to the thread.

    So calculations of other kinds wait for one of these at most.

    Args:
        places: How many may wait.
        seconds: How long each may wait.
    """

    def __init__(self, places: int, seconds: float) -> None:
        self._turn = asyncio.Lock()
        self._places, self._seconds = places, seconds
        self._waiting = 0

    async def result(self, calculation: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """The result of one.

        Raises:
            Refused: UNAVAILABLE: Too many wait already, or this one has waited too long.
        """
        await self._wait()
        try:
            return await off_loop(calculation, *args, **named)
        finally:
            self._turn.release()

    async def _wait(self) -> None:
        if self._waiting >= self._places:
            raise _busy()
        self._waiting += 1
        try:
            await asyncio.wait_for(self._turn.acquire(), self._seconds)
        except TimeoutError:
            raise _busy() from None
        finally:
            self._waiting -= 1


def _busy() -> Refused:
    return Refused(ProblemType.UNAVAILABLE, "Too many such requests wait. Try again in a moment.")
