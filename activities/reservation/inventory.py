"""The reservation service's steps of a publication: what is sold, and what is sold no more."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.heartbeats import heartbeating
from adapters.payment.registry import PROVIDERS
from db.reservation import inventory
from domain.catalogue import Event
from domain.providers import coarsest_step, payable_by


class InventoryActivities:
    """Steps in the reservation service's database; each may be repeated.

    Args:
        engine: For the short step.
        copying: For the long one, so that no booking waits for its connections; by default the same.
    """

    def __init__(self, engine: AsyncEngine, copying: AsyncEngine | None = None) -> None:
        self._engine = engine
        self._copying = copying or engine

    @activity.defn
    async def put_on_sale(self, event: Event) -> None:
        """Copy the event with all its places; an existing copy, on sale or stopped, stays unchanged.

        Raises:
            Refused: WRONG_STATE: There is no copy, and the event has begun.
        """
        step = coarsest_step(payable_by(PROVIDERS.values(), event.providers, event.currency), event.currency)
        async with heartbeating(), self._copying.begin() as connection:
            await inventory.put_on_sale(connection, event, amount_step=step)

    @activity.defn
    async def stop_selling(self, event: Event) -> None:
        """Stop the sale. An unknown event is recorded too, so that no later copy puts it on sale."""
        async with self._engine.begin() as connection:
            await inventory.stop_selling(connection, event)
