"""The booking whose tickets another run forbids while its money is taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from temporalio.client import WorkflowHistory

from config.settings import Settings
from db.engine import open_engine
from db.reservation.bookings import bookings
from tests.platform_client import PlatformClient
from tests.waiting import eventually
from tests.workflows.recording.shared import ended


async def record(platform: PlatformClient, settings: Settings) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of the way, and its history."""
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("slow", "capture", booking, delay_seconds=1.5)
    payment = asyncio.create_task(buyer.pay(booking))
    await eventually(lambda: platform.sold(event, "A-1-1"), every=0.02)
    await _forbid_tickets(settings, booking)
    assert (await payment).status_code == 409
    assert await platform.provider.kept(booking) == 0
    yield "booking-undone-because-its-tickets-were-forbidden", await ended(platform, f"booking-{booking}")


async def _forbid_tickets(settings: Settings, booking: str) -> None:
    """As a run does that begins to return the money, and is lost with its worker."""
    engine = open_engine(settings.database_url("reservation"), pool_size=2, serves_callers=False)
    async with engine.begin() as connection:
        await bookings.forbid_tickets(connection, UUID(booking))
    await engine.dispose()
