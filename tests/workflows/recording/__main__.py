"""`python -m tests.workflows.recording [what…]` records all histories, or those of the named modules."""

from __future__ import annotations

import asyncio
import os
import sys

from stack import Stack
from tests.conftest import TEST_SETTINGS, settings_of
from tests.platform_client import PlatformClient
from tests.workflows.recording import (
    bookings,
    differing_amounts,
    events,
    exchanges,
    forbidden_tickets,
    late_payments,
    provider_refunds,
    reconciliation,
    refunds,
)
from tests.workflows.recording.shared import write


async def main() -> None:
    """Start the stack of the tests if it does not run, and record on it."""
    stack = Stack(os.environ.get("SEATWRIGHT_STACK", "test"), ports="free")
    await asyncio.to_thread(stack.up, settings=TEST_SETTINGS)
    settings = settings_of(stack.env)
    async with PlatformClient(settings) as platform:
        recordings = {
            "bookings": bookings.record(platform, stack),
            "late_payments": late_payments.record(platform, settings),
            "exchanges": exchanges.record(platform),
            "refunds": refunds.record(platform, settings),
            "provider_refunds": provider_refunds.record(platform),
            "events": events.record(platform),
            "reconciliation": reconciliation.record(platform, stack),
            "differing_amounts": differing_amounts.record(platform, settings),
            "forbidden_tickets": forbidden_tickets.record(platform, settings),
        }
        for what in sys.argv[1:] or recordings:
            async for name, history in recordings[what]:
                write(name, history)
                sys.stdout.write(f"{name}: {len(history.events)} events\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
