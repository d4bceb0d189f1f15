"""Completes the copies of events that an earlier version has made for the reservation service; safe to repeat.

Each copy is a short transaction of its own: every hold and every payment of an event locks its row.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.payment.registry import PROVIDERS
from config.settings import Settings
from db.catalogue import events
from db.engine import open_engine
from db.reservation import inventory
from domain.providers import coarsest_step, payable_by


async def complete_copies(settings: Settings) -> None:
    """Add to each copy what an earlier version did not copy.

    It may reach both databases, as all commands; no statement crosses them.
    """
    async with AsyncExitStack() as opened:
        reservation, catalogue = (
            open_engine(settings.database_url(service), pool_size=1) for service in ("reservation", "catalogue")
        )
        opened.push_async_callback(reservation.dispose)
        opened.push_async_callback(catalogue.dispose)
        await copy_venues(reservation, catalogue)
        await set_amount_steps(reservation)


async def copy_venues(reservation: AsyncEngine, catalogue: AsyncEngine) -> None:
    """Add venue and time zone to the copies that have none."""
    async with reservation.connect() as connection:
        incomplete = await inventory.without_venue(connection)
    for event_id in incomplete:
        async with catalogue.connect() as originals:
            event = await events.find(originals, event_id)
        if event:
            async with reservation.begin() as connection:
                await inventory.copy_venue(connection, event)


async def set_amount_steps(reservation: AsyncEngine) -> None:
    """Set the step of what providers can refund where it is finer than theirs: an earlier version copies no step."""
    coarse = {code for each in PROVIDERS.values() for code, limits in each.currencies.items() if limits.step > 1}
    async with reservation.connect() as connection:
        finest = await inventory.with_the_finest_step(connection, coarse)
    for event_id, currency, admitted in finest:
        step = coarsest_step(payable_by(PROVIDERS.values(), admitted, currency), currency)
        if step > 1:
            async with reservation.begin() as connection:
                await inventory.set_amount_step(connection, event_id, step)
