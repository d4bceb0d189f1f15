"""An outage of Postgres beyond a saga's retries waits for an operator, and everything ends right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from config.settings import Settings, secret
from tests.http_client import unless_unavailable
from tests.pace import stretched
from tests.platform_client import PlatformClient
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive

ROLE = "seatwright_reservation"
SLOW = 1.7
"""Seconds in which the database must go down during a provider call, within the call's limit of 2 s."""


@asynccontextmanager
async def locked_out(settings: Settings) -> AsyncIterator[None]:
    """Run the body while the reservation service cannot reach its database."""
    async with await psycopg.AsyncConnection.connect(secret(settings.postgres_admin_dsn), autocommit=True) as admin:
        await admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(ROLE)))
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [ROLE])
        try:
            yield
        finally:
            await admin.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(ROLE)))


async def is_parked(platform: PlatformClient, booking: str) -> bool:
    """Whether Temporal's UI shows an operator that this saga waits."""
    description = await platform.saga(booking).describe()
    attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    return bool(attributes["SeatwrightStatus"] == "needs_attention")


async def test_money_captured_while_the_database_goes_down_becomes_tickets(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("429", "capture", booking, retry_after=5)
    payment = asyncio.create_task(unless_unavailable(lambda: buyer.at(platform.hasty).pay(booking, key=key)))
    await eventually(lambda: platform.provider.calls(booking, "confirm"))
    await eventually(lambda: platform.sold(event, "A-1-1"), every=0.02)
    async with locked_out(settings):
        await eventually(lambda: is_parked(platform, booking), within=60)
    assert (await payment).status_code == 503

    await platform.saga(booking).execute_update("operate", "retry")

    await buyer.ends_as(booking, "confirmed")
    assert await platform.provider.kept(booking) == 5000


@pytest.mark.thorough
async def test_holds_that_end_while_the_database_is_away_are_released_afterwards(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer = await platform.event(hold_seconds=stretched(4)), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    async with locked_out(settings):
        await eventually(lambda: is_parked(platform, booking), within=60)

    await platform.saga(booking).execute_update("operate", "retry")

    await buyer.ends_as(booking, "expired")
    assert await platform.seat(event, "A-1-1") == "available"


async def test_an_operator_can_compensate_and_return_the_money_and_the_seats(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("429", "capture", booking, retry_after=5)
    # The first call may meet a connection that the test before has ended.
    payment = asyncio.create_task(buyer.pay(booking, key=key))
    await eventually(lambda: platform.sold(event, "A-1-1"), every=0.02)
    async with locked_out(settings):
        await eventually(lambda: is_parked(platform, booking), within=60)
        await platform.saga(booking).execute_update("operate", "compensate")
    await payment

    await buyer.ends_as(booking, "failed")
    assert await platform.provider.kept(booking) == 0
    assert await platform.seat(event, "A-1-1") == "available"
