"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Awaitable[T | None]], *, within: float = 20, every: float = 0.05) -> T: ...
@overload
async def eventually(condition: Callable[[], T | None], *, within: float = 20, every: float = 0.05) -> T: ...
async def eventually(condition: Callable[[], object], *, within: float = 20, every: float = 0.05) -> object:
    """Call `condition` until its answer is true and raises no AssertionError; answer that, or fail after `within` s."""
    deadline = monotonic() + within
    while True:
        last: object
        try:
            answer = condition()
            last = await answer if inspect.isawaitable(answer) else answer
            if last:
                return last
        except AssertionError as error:
            last = error
        if monotonic() > deadline:
            raise AssertionError(f"not within {within} s; the last answer was {last!r}")
        await asyncio.sleep(every)
