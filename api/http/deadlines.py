"""How long the API waits for a server of its own: one that hangs is answered like one that is down, and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 1.5
"""Seconds, so that a caller has the 503 within two."""

_given_up: set[asyncio.Future[Any]] = set()


async def promptly(look: Awaitable[T], patience: float = PATIENCE) -> T:
    """The answer of a server, if it comes in time.

    A look that takes too long is cancelled and left to itself: psycopg, for one, waits ten seconds for a hanging
    server to take notice of the cancellation, and the caller cannot.

    Raises:
        TimeoutError: There was no answer in time.
    """
    looking = asyncio.ensure_future(look)
    try:
        await asyncio.wait({looking}, timeout=patience)
    finally:
        if not looking.done():
            _give_up(looking)
    if not looking.done():
        raise TimeoutError
    return looking.result()


def _give_up(looking: asyncio.Future[Any]) -> None:
    _given_up.add(looking)  # the event loop alone would not keep it alive
    looking.add_done_callback(_forget)
    looking.cancel()


def _forget(looking: asyncio.Future[Any]) -> None:
    _given_up.discard(looking)
    if not looking.cancelled():
        looking.exception()  # nobody else will ask for it
