"""Many concurrent buyers of the same places."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from uuid import UUID

import pytest
from redis.asyncio import Redis

from tests.adapters.seats.places import forget
from tests.buyer import CARD, DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.scale import FULL
from tests.waiting import eventually

PATIENCE = 600 if FULL else 120  # of a buyer, in seconds: a rush at full size shares the machine with other lanes
pytestmark = [pytest.mark.disruptive] if FULL else []  # at full size a rush leaves nothing for tests beside it


async def pay(buyer: Buyer, booking: str, method: str = CARD) -> int:
    """Pay; returns the status. A payment that is too late is repeated under a new key."""

    async def paid() -> int | None:
        answer = await buyer.pay(booking, method)
        too_late = answer.json().get("type", "").endswith("/payment-too-late")
        return None if too_late else answer.status_code

    status = await eventually(paid, within=PATIENCE)
    assert status is not None
    return status


async def cancel(buyer: Buyer, booking: str) -> None:
    answer = await buyer.cancel(booking)
    assert answer.status_code == 200, answer.text


async def test_of_two_hundred_concurrent_buyers_of_one_seat_one_wins(platform: PlatformClient) -> None:
    event = await platform.event()
    answers = await asyncio.gather(*(platform.new_buyer().hold(event, "A-1-1") for _ in range(200)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 199}
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert all(body["seats"] == ["A-1-1"] and body["type"].endswith("/seats-unavailable") for body in refused)


async def test_a_hundred_buyers_of_overlapping_pairs_never_hold_half_a_pair(platform: PlatformClient) -> None:
    event = await platform.event()
    pairs = [(f"A-1-{n}", f"A-1-{n + 1}") for n in range(1, 10)]
    answers = await asyncio.gather(
        *(platform.new_buyer().hold(event, *pairs[index % len(pairs)]) for index in range(100))
    )
    held = [seat for answer in answers if answer.status_code == 201 for seat in answer.json()["seats"]]
    assert {answer.status_code for answer in answers} == {201, 409}
    assert len(held) == len(set(held))
    seat_map = (await platform.http.get(f"/v1/events/{event}/seats")).json()
    taken = [s["name"] for s in seat_map["sections"][0]["seats"] if s["status"] != "available"]
    assert sorted(taken) == sorted(held)


async def test_general_admission_never_exceeds_its_capacity_when_redis_is_emptied(
    platform: PlatformClient,
) -> None:
    buyers, places, emptied_at = (300, 100, 60) if FULL else (120, 40, 24)
    event = await platform.event(standing=places)
    redis = Redis.from_url(platform.settings.redis_url.get_secret_value())
    answers: list[int] = []

    async def come(buyer: Buyer) -> None:
        answer = await buyer.hold(event, quantities={"Standing": 1})
        answers.append(answer.status_code)
        if len(answers) == emptied_at:
            await forget(redis, UUID(event))  # not FLUSHALL: other tests hold seats in this Redis

    await asyncio.gather(*(come(platform.new_buyer()) for _ in range(buyers)))
    # A buyer whom the emptied Redis sent away may simply come again.
    while await platform.free_places(event, "Standing"):
        await come(platform.new_buyer())

    assert answers.count(201) == places
    assert set(answers) <= {201, 409}
    assert (await platform.new_buyer().hold(event, quantities={"Standing": 1})).status_code == 409
    await redis.aclose()


async def test_an_event_sells_out_to_the_last_seat_among_declines_and_cancels(
    platform: PlatformClient,
) -> None:
    rows, seats_per_row = (20, 25) if FULL else (2, 3)
    event = await platform.event(hold_seconds=600, rows=rows, seats_per_row=seats_per_row, standing=10)
    dice = random.Random(20261123)
    seat_map = (await platform.http.get(f"/v1/events/{event}/seats")).json()
    seats = [seat["name"] for section in seat_map["sections"] for seat in section.get("seats", [])]

    async def buy(seat: str) -> None:
        fate = dice.random()
        buyer = platform.new_buyer()
        if fate < 0.3:
            await cancel(buyer, await buyer.held(event, seat))
        if fate > 0.7:
            booking = await buyer.held(event, seat)
            assert await pay(buyer, booking, DECLINED_CARD) == 402
            await cancel(buyer, booking)
        assert await pay(buyer, await buyer.held(event, seat)) == 200

    await asyncio.gather(*map(buy, seats))
    seat_map = (await platform.http.get(f"/v1/events/{event}/seats")).json()
    assert {s["status"] for section in seat_map["sections"] for s in section.get("seats", [])} == {"sold"}
