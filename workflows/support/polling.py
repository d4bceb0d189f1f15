"""Asking again until something is decided, with pauses that double so that the history stays short."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow

T = TypeVar("T")

FIRST_PAUSE = timedelta(seconds=2)


def doubling(first: timedelta, longest: timedelta) -> Iterator[timedelta]:
    """Yield `first`, twice that, and so on, at last `longest` again and again."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)


async def poll(
    check: Callable[[], Awaitable[T | None]], *, longest: timedelta, wait: Callable[[timedelta], Awaitable[None]]
) -> T:
    """Check at once, and then after 2, 4, 8 … seconds, until there is an answer.

    Args:
        check: Returns the answer, or None while there is none.
        longest: The longest pause between two checks.
        wait: Lets a pause pass; it may end early.
    """
    pauses = doubling(FIRST_PAUSE, longest)
    while True:
        answer = await check()
        if answer is not None:
            return answer
        await wait(next(pauses))


class Notification:
    """A provider's message that something changed. It is never believed: it is only a reason to ask at once.

    Attributes:
        has_arrived: Since the last wait, or since it was last cleared.
    """

    def __init__(self) -> None:
        """None has arrived yet."""
        self.has_arrived = False

    async def wait(self, pause: timedelta, *, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait for a notification, for at most `pause`; not at all, or no longer, where `unless` is true."""
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self.has_arrived or unless(), timeout=pause)
        self.has_arrived = False  # one that arrives from here on may be newer than the answer that is asked for next
