"""Buyers come back from the payment provider: the saga then asks the provider, at most once a pause.

These calls need no token, so anyone can repeat them, and each question costs a call to the provider.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from redis.exceptions import RedisError

from api.http.sagas import notify_workflow
from api.reservation.context import ReservationContext

_waiting: Final[set[asyncio.Task[None]]] = set()


async def buyer_returned(context: ReservationContext, subject: UUID, workflow_id: str) -> None:
    """Have the saga of a booking or exchange ask its provider, now or at the end of the pause.

    Raises:
        TimeoutError, RPCError: Temporal cannot be reached.
    """
    try:
        wait = await context.return_pauses.wait(subject)
    except (RedisError, OSError):
        wait = timedelta()
    if wait is None:
        return
    if wait:
        task = asyncio.create_task(_later(context, subject, workflow_id, wait))
        _waiting.add(task)
        task.add_done_callback(_waiting.discard)
    else:
        await notify_workflow(context.temporal, workflow_id)


async def _later(context: ReservationContext, subject: UUID, workflow_id: str, wait: timedelta) -> None:
    """A process that stops does not do it: the saga asks by itself, too."""
    await asyncio.sleep(wait.total_seconds())
    try:
        await context.return_pauses.begin(subject)
        await notify_workflow(context.temporal, workflow_id)
    except Exception as error:
        structlog.get_logger().warning("a return is not passed on", error=type(error).__name__)
