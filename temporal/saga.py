"""The saga: what to undo, in which order, whatever else happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

Undo = Callable[[], Awaitable[None]]


class Compensation(NamedTuple):
    name: str
    undo: Undo


class Saga:
    """Compensations, each registered before the effect that it undoes, so that a crash in between leaves none out."""

    def __init__(self) -> None:
        self._compensations: list[Compensation] = []

    def on_failure(self, name: str, undo: Undo) -> None:
        """Remember how to undo the effect that comes next. `undo` must be idempotent and do nothing without effect."""
        self._compensations.append(Compensation(name, undo))

    def drop(self, name: str) -> None:
        """Forget a compensation whose effect is known not to exist any more."""
        self._compensations = [known for known in self._compensations if known.name != name]

    async def compensate(self) -> None:
        """Undo everything, latest first; run it `shielded`, as all of a saga."""
        while self._compensations:
            await self._compensations[-1].undo()
            self._compensations.pop()


async def shielded(story: Awaitable[None], *, on_cancel: Callable[[], None]) -> None:
    """Wait for a story to its own end; a cancellation of the workflow is only told to it.

    So no effect is abandoned half way: a charge that is under way when the workflow is cancelled would still land. A
    single `asyncio.shield` is not enough, since its wait ends at the first cancellation while the story goes on.
    """
    task = asyncio.ensure_future(story)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            on_cancel()
    task.result()
