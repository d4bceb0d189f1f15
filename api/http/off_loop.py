"""Runs long calculations beside the event loop, one at a time: so the loop has to share its core with one at most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="off-loop")


async def off_loop(calculation: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """The result of a calculation that would hold the event loop for some milliseconds or more."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, lambda: calculation(*args, **named))
