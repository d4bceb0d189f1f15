"""A payment command that was lost with its worker, and is too late to execute."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from activities.reservation.bookings import ReservationActivities, StartPayment, Step
from api.http.idempotency import digest, update_id
from api.reservation.buyer_details import BUYER
from api.reservation.schemas import PaymentBody
from domain.bookings import PaymentId
from stack import Stack
from tests.audit.harness import step
from tests.http_client import unless_unavailable
from tests.platform_client import PlatformClient
from tests.scale import FULL
from tests.scenarios.conftest import WINDOW
from tests.scenarios.test_outages import without
from tests.waiting import eventually


@pytest.mark.disruptive
@pytest.mark.parametrize("buyer_cancels", [False, True] if FULL else [False])
async def test_a_late_command_of_a_dead_worker_is_undone_before_the_seats_are_freed(
    platform: PlatformClient, stack: Stack, buyer_cancels: bool
) -> None:
    """The worker captures the money and dies before Temporal has recorded the command. The next worker receives
    it after its deadline: the payment is in no history, only in the row and at the provider."""
    hold_seconds = 120 if buyer_cancels else 20
    event, buyer = await platform.event(hold_seconds=hold_seconds), platform.new_buyer()
    booking, key = await buyer.held(event, "A-1-1"), str(uuid4())
    await platform.provider.will("slow", "capture", booking, delay_seconds=1.5)
    paying = asyncio.create_task(unless_unavailable(lambda: buyer.at(platform.hasty).pay(booking, key=key)))
    await eventually(lambda: platform.provider.kept(booking), every=0.01)
    async with without(stack, "work"):
        assert (await paying).status_code == 503
        assert await platform.provider.kept(booking) == 5000
    if buyer_cancels:
        await eventually(lambda: _is_cancelled(platform, booking, buyer.headers), within=60, every=1)

    await buyer.ends_as(booking, "cancelled" if buyer_cancels else "expired", within=90)

    assert await platform.provider.kept(booking) == 0
    assert await platform.seat(event, "A-1-1") == "available"


@pytest.mark.thorough
@pytest.mark.disruptive
async def test_the_key_of_a_lost_payment_gets_its_tickets_where_the_saga_has_learned_of_a_cancel_first(
    platform: PlatformClient, stack: Stack, left_behind: ReservationActivities
) -> None:
    """The worker has issued the tickets, and Temporal has lost the task in which it did: the saga still holds."""
    free = {"price": 0, "cheaper": 0, "standing_price": 0}
    event, buyer, key = await platform.event(**free), platform.new_buyer(), str(uuid4())
    booking = UUID(await buyer.held(event, "A-1-1"))
    paid_by = PaymentId(command=update_id("pay", key), body_sha256=digest(PaymentBody(), without=BUYER))
    as_it_stands = await step(left_behind.look, booking)
    payment = StartPayment(booking=as_it_stands, window=WINDOW, payment=paid_by)
    as_it_stands = await step(left_behind.start_payment, payment)
    async with without(stack, "work"):
        assert not await step(left_behind.commit, Step(booking=as_it_stands))
        await step(left_behind.issue, Step(booking=as_it_stands))
        cancelled = await buyer.at(platform.hasty).cancel(str(booking))
        assert cancelled.json()["type"].endswith("/outcome-unknown"), "the saga learns of the cancel first"
        paying = asyncio.create_task(buyer.post(f"/v1/bookings/{booking}/payment", {}, key=key))
    paid = await paying
    assert (paid.status_code, len(paid.json()["tickets"])) == (200, 1), paid.text
    assert (await buyer.cancel(str(booking))).json()["type"].endswith("/refund-required")


async def _is_cancelled(platform: PlatformClient, booking: str, headers: dict[str, str]) -> bool:
    return (await platform.http.delete(f"/v1/bookings/{booking}", headers=headers)).status_code == 200
