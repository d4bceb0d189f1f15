"""Cancelling a booking in each state."""

from __future__ import annotations

import asyncio

from tests.buyer import CARD_WITH_3DS
from tests.platform_client import PlatformClient
from tests.scale import FULL


async def test_a_held_booking_is_cancelled_and_the_seats_are_free_at_once(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1", quantities={"Standing": 2})

    answer = await buyer.cancel(booking)

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert await platform.seat(event, "A-1-1") == "available"
    assert await platform.free_places(event, "Standing") == 100
    assert (await buyer.cancel(booking)).status_code == 200
    await platform.new_buyer().held(event, "A-1-1")


async def test_a_payment_in_flight_is_waited_for_and_undone(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("timeout_after", "confirm", booking, delay_seconds=1.5)
    await platform.provider.will("429", "retrieve", booking, retry_after=5)  # the saga learns of it only then
    payment = asyncio.create_task(buyer.pay(booking))
    await buyer.ends_as(booking, "paying")

    answer = await buyer.cancel(booking)

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert (await payment).status_code == 409
    assert await platform.provider.kept(booking) == 0
    assert await platform.seat(event, "A-1-1") == "available"


async def test_a_buyer_can_cancel_while_action_is_required(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    assert (await buyer.pay(booking, CARD_WITH_3DS)).status_code == 202
    assert (await buyer.cancel(booking)).json()["status"] == "cancelled"
    assert await platform.provider.kept(booking) == 0


async def test_a_confirmed_booking_asks_for_a_refund_instead(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    answer = await buyer.cancel(booking)
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("/refund-required")
    assert await buyer.status(booking) == "confirmed"


async def test_an_expired_booking_cannot_be_cancelled(platform: PlatformClient) -> None:
    event, buyer = await platform.event(hold_seconds=1), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await buyer.ends_as(booking, "expired")
    answer = await buyer.cancel(booking)
    assert answer.status_code == 409
    assert answer.json()["type"].endswith("/wrong-state")


async def test_a_concurrent_cancel_and_payment_end_in_one_of_the_two(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    for number in range(1, 6 if FULL else 4):
        booking = await buyer.held(event, f"A-1-{number}")
        paid, cancelled = await asyncio.gather(buyer.pay(booking), buyer.cancel(booking))
        outcome = {(200, 409): "confirmed", (409, 200): "cancelled"}[(paid.status_code, cancelled.status_code)]
        assert await buyer.status(booking) == outcome
        assert await platform.provider.kept(booking) == (5000 if outcome == "confirmed" else 0)


async def test_a_cancel_in_the_temporal_ui_releases_everything(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.saga(booking).cancel()
    await buyer.ends_as(booking, "cancelled")
    assert await platform.seat(event, "A-1-1") == "available"


async def test_a_cancel_in_the_temporal_ui_waits_for_the_payment_and_undoes_it(
    platform: PlatformClient,
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("429", "confirm", booking, retry_after=5)
    payment = asyncio.create_task(buyer.pay(booking))
    await buyer.ends_as(booking, "paying")

    for _ in range(3):
        await platform.saga(booking).cancel()

    await buyer.ends_as(booking, "cancelled")
    assert (await payment).status_code == 409
    assert await platform.provider.kept(booking) == 0
    assert await platform.seat(event, "A-1-1") == "available"
