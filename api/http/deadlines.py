"""How long the API waits for its own servers: one that hangs gets the same 503 as one that is down, and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")

DEADLINE: Final = 1.5
"""Seconds, so that a caller has the 503 within two."""

CHANGE_WAIT: Final = 20.0
"""Seconds for an event's workflow to publish or cancel it; the workflow goes on when the API stops waiting."""

_WAIT_AT_THE_END: Final = 5.0
"""Seconds for calls that were given up; one that a hanging server keeps longer ends with the process."""

_abandoned: set[asyncio.Future[Any]] = set()


async def with_deadline(call: Awaitable[T], seconds: float = DEADLINE) -> T:
    """The answer of a server, if it comes in time.

    A call that takes too long is cancelled in the background: psycopg waits up to ten seconds until a server that hangs
    accepts the cancellation, and the caller cannot wait that long.

    Args:
        call: The call to a server.
        seconds: How long to wait.

    Raises:
        TimeoutError: There was no answer in time.
    """
    running = asyncio.ensure_future(call)
    try:
        await asyncio.wait({running}, timeout=seconds)
    finally:
        if not running.done():
            _abandon(running)
    if not running.done():
        raise TimeoutError
    return running.result()


async def abandoned_calls_ended() -> None:
    """Wait until the calls that were given up have ended, at most five seconds.

    Call it before the connections are closed.
    """
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(_WAIT_AT_THE_END):
            while running := {call for call in _abandoned if call.get_loop() is loop}:
                await asyncio.wait(running)


def _abandon(running: asyncio.Future[Any]) -> None:
    _abandoned.add(running)  # the event loop alone would not keep it alive
    running.add_done_callback(_drop)
    running.cancel()


def _drop(running: asyncio.Future[Any]) -> None:
    _abandoned.discard(running)
    if not running.cancelled():
        running.exception()  # an exception that is never read would be logged
