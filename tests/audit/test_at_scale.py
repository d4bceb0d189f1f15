"""The audit of a long history takes less than a minute."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from audit.run import audit
from config.settings import Settings
from stack import Stack
from tests.audit import bulk
from tests.pace import watch
from tests.platform_client import PlatformClient
from tests.waiting import eventually

BOOKINGS, SAGAS = 100_000, 2_000
EVENTS = 5
LONGEST = 60  # seconds


@pytest.mark.thorough
@pytest.mark.disruptive
async def test_a_hundred_thousand_bookings_are_audited_within_a_minute(settings: Settings, stack: Stack) -> None:
    async with PlatformClient(settings) as platform:
        rows = 2 * BOOKINGS // EVENTS // 100
        events = [
            UUID(await platform.event(rows=rows, seats_per_row=100, standing=BOOKINGS // EVENTS, hold_seconds=3600))
            for _ in range(EVENTS)
        ]

        await eventually(lambda: not any(bulk.lag(settings, group) for group in bulk.GROUPS), within=60)
        stack.stop("consume")
        try:
            await eventually(
                lambda: all(bulk.is_deserted(settings, group) for group in bulk.GROUPS), within=90, every=0.5
            )
            ended = await asyncio.to_thread(bulk.seed, settings, events, BOOKINGS // EVENTS)
        finally:
            stack.start("consume")
        await bulk.run_sagas(settings, events, ended[: SAGAS // 2], live=SAGAS // 2)

    with watch() as taken:
        findings = await audit(settings)
    print(f"audited {BOOKINGS} bookings and {SAGAS} sagas in {taken.seconds:.1f} s")
    assert not findings, "\n".join(map(str, findings[:20]))
    assert taken.seconds < taken.allows(LONGEST)
