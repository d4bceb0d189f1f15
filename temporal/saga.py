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
        """Undo everything, latest first, even while the workflow is being cancelled.

        Raises:
            asyncio.CancelledError: After all is undone, when the workflow was cancelled meanwhile.
        """
        while self._compensations:
            await shielded(self._compensations[-1].undo())
            self._compensations.pop()


async def shielded(effect: Awaitable[None]) -> None:
    """Wait for an effect to its end; a cancellation is passed on only afterwards.

    A single `asyncio.shield` is not enough: the wait ends at the first cancellation while the effect still runs.
    """
    task = asyncio.ensure_future(effect)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
