"""Bookings with a saga that was terminated or reset by hand still end right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from audit.run import audit
from config.settings import Settings
from db.engine import open_engine
from stack import Stack
from tests.api.test_command_line import seatwright
from tests.buyer import DECLINED_CARD
from tests.pace import stretched
from tests.platform_client import PlatformClient
from tests.waiting import eventually


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(settings.database_url("reservation"), pool_size=4, serves_callers=False)
    yield opened
    await opened.dispose()


async def revived(platform: PlatformClient, engine: AsyncEngine, booking: str) -> None:
    """Wait until workflow recovery has started the saga again."""

    async def alive() -> bool:
        await platform.revive(engine, platform.saga(booking))
        return bool((await platform.saga(booking).describe()).status != 5)  # terminated

    await eventually(alive)


async def waits_to_try_again(platform: PlatformClient, booking: str) -> bool:
    """Whether no step is running: the saga has a timer besides that of its hold."""
    history = await platform.saga(booking).fetch_history()
    return sum(event.HasField("timer_started_event_attributes") for event in history.events) > 1


async def test_a_terminated_hold_is_revived_when_its_time_is_up_and_frees_the_seat(
    platform: PlatformClient, engine: AsyncEngine, stack: Stack
) -> None:
    event, buyer = await platform.event(hold_seconds=stretched(3)), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1", quantities={"Standing": 1})
    await platform.saga(booking).terminate("by mistake")

    async def audit_sees_it() -> bool:
        findings = await audit(platform.settings, [UUID(event)])
        return ("every open booking has a running saga", booking) in {(each[0], each[1]) for each in findings}

    await eventually(audit_sees_it)
    printed = await asyncio.to_thread(seatwright, stack, "audit", "--event", event)
    assert printed.returncode == 1
    assert booking in printed.stdout
    await revived(platform, engine, booking)
    await buyer.ends_as(booking, "expired")
    assert await platform.seat(event, "A-1-1") == "available"


async def test_a_payment_with_a_terminated_saga_is_refunded(platform: PlatformClient, engine: AsyncEngine) -> None:
    event, buyer = await platform.event(hold_seconds=stretched(4)), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("500_after", "capture", booking)
    await platform.provider.will("500_before", "retrieve", booking, times=100)
    payment = asyncio.create_task(buyer.pay(booking))
    await eventually(lambda: waits_to_try_again(platform, booking))
    assert await platform.provider.kept(booking) == 5000
    await platform.saga(booking).terminate("by mistake")
    await payment
    await platform.provider.clear_faults(booking)

    await revived(platform, engine, booking)

    await buyer.ends_as(booking, "failed")
    assert await platform.provider.kept(booking) == 0
    assert await platform.seat(event, "A-1-1") == "available"


async def test_a_saga_that_was_reset_to_its_beginning_still_sells(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    assert (await buyer.pay(booking, DECLINED_CARD)).status_code == 402
    await platform.reset(platform.saga(booking))

    async def pays() -> bool:
        return (await buyer.pay(booking)).status_code == 200

    await eventually(pays, within=30)
    assert await platform.provider.kept(booking) == 5000
