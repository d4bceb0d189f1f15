"""Heartbeats for an activity that takes long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from temporalio import activity

_INTERVAL = 2.0  # seconds; a third of the shortest heartbeat timeout, in `policies.provider`


@asynccontextmanager
async def heartbeating(progress: Sequence[str] = ()) -> AsyncIterator[None]:
    """Heartbeat while the body runs, so that only a dead worker is taken for dead.

    A local activity, and a call outside an activity, has no need to.

    Args:
        progress: What the next try finds in its heartbeat details; the body may change it.
    """
    if not activity.in_activity() or activity.info().is_local:
        yield
        return

    async def beat() -> None:
        while True:
            activity.heartbeat(*progress)
            await asyncio.sleep(_INTERVAL)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
