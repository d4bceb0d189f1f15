"""Several workers keep a provider's call limit during a rush, and every buyer gets the tickets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from stack import Stack
from tests.adapters.test_call_limit import LATE, busiest_second
from tests.platform_client import PlatformClient

pytestmark = pytest.mark.disruptive

RATE, WORKERS, BUYERS = 20, 3, 30


@pytest.fixture
def limited_workers(stack: Stack) -> Iterator[None]:
    """Three worker processes in place of the stack's own, with a limit for Stripe."""
    names = [f"limited-{number}" for number in range(WORKERS)]
    # An answer that takes long on a busy machine is no reason to try a step twice.
    own = {"SEATWRIGHT_STRIPE_CALLS_PER_SECOND": str(RATE), "SEATWRIGHT_PAYMENT_TIMEOUT": "60"}
    stack.stop("work")
    try:
        for name in names:
            stack.spawn(name, "work", env=own)
        yield
        for name in names:
            stack.stop(name)
    finally:
        stack.start("work")


@pytest.fixture
async def rush(platform: PlatformClient, limited_workers: None) -> list[str]:
    """Pay for bookings at the same moment; all must be confirmed at once."""
    event = await platform.event()
    buyers = [platform.new_buyer() for _ in range(BUYERS)]
    bookings = [
        await buyer.held(event, f"{'AB'[place // 15]}-{1 + place % 3}-{1 + place % 15 // 3}")
        for place, buyer in enumerate(buyers)
    ]
    paid = await asyncio.gather(*(buyer.pay(booking) for buyer, booking in zip(buyers, bookings, strict=True)))
    assert [answer.status_code for answer in paid] == [200] * BUYERS
    return bookings


async def test_workers_together_hold_the_limit_in_a_rush_and_no_step_is_tried_twice(
    platform: PlatformClient, rush: list[str]
) -> None:
    calls = [
        (operation, call["at"])
        for booking in rush
        for operation in ("create", "confirm", "capture", "retrieve")
        for call in await platform.provider.calls(booking, operation)
    ]
    counts = Counter(operation for operation, _ in calls)
    del counts["retrieve"]  # a worker that loses a task on a busy machine looks the payment up before it goes on
    assert counts == {"create": BUYERS, "confirm": BUYERS, "capture": BUYERS}
    assert busiest_second([at for _, at in calls]) <= RATE + LATE
