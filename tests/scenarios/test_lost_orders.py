"""An order to pay that was lost together with its worker, and that nobody may carry out any more."""

from __future__ import annotations

import asyncio
import os

import pytest

from stack import Stack
from tests.box_office import BoxOffice
from tests.scenarios.test_outages import without
from tests.waiting import eventually

FULL = os.environ.get("SEATWRIGHT_SCALE") == "full"


@pytest.mark.disruptive
@pytest.mark.parametrize("buyer_cancels", [False, True] if FULL else [False])
async def test_what_a_dead_worker_did_for_an_order_that_comes_too_late_is_undone_before_the_seats_go_back(
    box_office: BoxOffice, stack: Stack, buyer_cancels: bool
) -> None:
    """The worker takes the money and dies before Temporal has heard that there was an order. When the next one
    hears of it, its time is over: no history tells of the payment, only the row and the provider do."""
    hold_seconds = 120 if buyer_cancels else 20
    event, buyer = await box_office.event(hold_seconds=hold_seconds), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await box_office.provider.will("slow", "capture", booking, delay_seconds=1.5)
    paying = asyncio.create_task(buyer.pay(booking))
    await eventually(lambda: box_office.provider.kept(booking), every=0.01)
    async with without(stack, "work"):
        assert (await paying).status_code == 503
        assert await box_office.provider.kept(booking) == 5000
    if buyer_cancels:
        await eventually(lambda: _is_cancelled(box_office, booking, buyer.headers), within=60, every=1)

    await buyer.ends_as(booking, "cancelled" if buyer_cancels else "expired", within=90)

    assert await box_office.provider.kept(booking) == 0
    assert await box_office.seat(event, "A-1-1") == "available"


async def _is_cancelled(office: BoxOffice, booking: str, headers: dict[str, str]) -> bool:
    return (await office.http.delete(f"/v1/bookings/{booking}", headers=headers)).status_code == 200
