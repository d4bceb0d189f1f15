"""Completes the copies of events that an earlier version has made for the reservation service; safe to repeat.

Each copy is a short transaction of its own: every hold and every payment of an event locks its row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from uuid import UUID

from psycopg.errors import LockNotAvailable, QueryCanceled
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.payment.registry import PROVIDERS
from config.settings import Settings
from db.catalogue import events
from db.engine import open_engine
from db.reservation import inventory
from domain.providers import coarsest_step, payable_by


async def complete_copies(settings: Settings) -> set[UUID]:
    """Add to each copy what an earlier version did not copy.

    It may reach both databases, as all commands; no statement crosses them.

    Returns:
        The events that are left for another time. Each sale of version 0.1.0 passes an update that waits, so in a rush
        the update may come to nothing.
    """
    async with AsyncExitStack() as opened:
        reservation, catalogue = (
            open_engine(settings.database_url(service), pool_size=2) for service in ("reservation", "catalogue")
        )
        opened.push_async_callback(reservation.dispose)
        opened.push_async_callback(catalogue.dispose)
        return await copy_venues(reservation, catalogue) | await set_amount_steps(reservation)


async def copy_venues(reservation: AsyncEngine, catalogue: AsyncEngine) -> set[UUID]:
    """Add venue and time zone to the copies that have none; returns the events that are left for another time."""
    left = set()
    async with reservation.connect() as connection:
        incomplete = await inventory.without_venue(connection)
    for event_id in incomplete:
        async with catalogue.connect() as originals:
            event = await events.find(originals, event_id)
        if event and not await _is_done(reservation, partial(inventory.copy_venue, event=event)):
            left.add(event_id)
    return left


async def set_amount_steps(reservation: AsyncEngine) -> set[UUID]:
    """Set the step of what providers can refund where it is finer than theirs: an earlier version copies no step.

    Returns:
        The events that are left for another time.
    """
    left = set()
    coarse = {code for each in PROVIDERS.values() for code, limits in each.currencies.items() if limits.step > 1}
    async with reservation.connect() as connection:
        finest = await inventory.with_the_finest_step(connection, coarse)
    for event_id, currency, admitted in finest:
        step = coarsest_step(payable_by(PROVIDERS.values(), admitted, currency), currency)
        change = partial(inventory.set_amount_step, event_id=event_id, step=step)
        if step > 1 and not await _is_done(reservation, change):
            left.add(event_id)
    return left


async def _is_done(engine: AsyncEngine, change: Callable[[AsyncConnection], Awaitable[None]]) -> bool:
    """Make a change in a transaction of its own; false if its row was not free in time."""
    try:
        async with engine.begin() as connection:
            await change(connection)
    except OperationalError as error:
        if not isinstance(error.orig, (LockNotAvailable, QueryCanceled)):
            raise
        return False
    return True
