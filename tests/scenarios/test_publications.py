"""Venues that are put on sale do not disturb a sale."""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.catalogue.events import CatalogueActivities
from config.settings import Settings
from db.engine import open_engine
from db.reservation import inventory
from tests.platform_client import PlatformClient
from tests.waiting import eventually
from workflows.ids import publication_workflow_id

PUBLICATIONS = 24
"""More than a worker has connections for bookings."""

_COPYING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND query LIKE 'INSERT INTO events%'"
)


async def copying(reservation: AsyncEngine) -> int:
    """How many copies wait for the test's own transaction."""
    async with reservation.connect() as connection:
        found: int = (await connection.execute(_COPYING)).scalar_one()
        return found


async def test_a_sale_goes_on_while_many_large_venues_are_put_on_sale(
    platform: PlatformClient, settings: Settings
) -> None:
    on_sale, buyer = await platform.event(), platform.new_buyer()
    drafts = [await platform.draft() for _ in range(PUBLICATIONS)]
    catalogue = open_engine(settings.database_url("catalogue"), serves_callers=False)
    reservation = open_engine(settings.database_url("reservation"), serves_callers=False)
    blocking = await reservation.connect()
    await blocking.execute(text("SET idle_in_transaction_session_timeout = 0"))  # on a busy machine this takes minutes
    for draft in drafts:  # a copy of each that is never committed stands in for copies that take long
        await inventory.put_on_sale(blocking, await CatalogueActivities(catalogue).read_event(UUID(draft)))
    publishing = [asyncio.create_task(platform.publish(draft)) for draft in drafts]
    for draft in drafts:
        await eventually(partial(is_copied_next, platform, draft))
    await eventually(lambda: copying(reservation))
    assert (await buyer.bought(on_sale, "A-1-1"))["status"] == "confirmed"
    assert await copying(reservation) <= 2
    await blocking.rollback()
    await asyncio.gather(*publishing)
    for draft in drafts:
        await eventually(partial(is_on_sale, platform, draft))
    await blocking.close()
    await catalogue.dispose()
    await reservation.dispose()


async def is_copied_next(platform: PlatformClient, event: str) -> bool:
    """Whether its publication has ordered the copy."""
    publication = platform.temporal.get_workflow_handle(publication_workflow_id(UUID(event)))
    found = (await publication.describe()).raw_description.pending_activities
    return any(each.activity_type.name == "put_on_sale" for each in found)


async def is_on_sale(platform: PlatformClient, event: str) -> bool:
    return (await platform.http.get(f"/v1/events/{event}")).status_code == 200
