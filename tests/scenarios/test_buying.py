"""Buying a ticket, and the other endings of a purchase."""

from __future__ import annotations

import asyncio

import pytest

from tests.buyer import CARD, CARD_WITH_3DS, DECLINED_CARD
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.waiting import eventually


async def test_a_buyer_who_holds_and_pays_gets_a_ticket_for_each_place(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    held = await buyer.hold(event, "A-1-2", "A-1-1", "B-2-3", quantities={"Standing": 2})
    assert held.status_code == 201
    assert held.json()["status"] == "held"
    assert held.json()["amount"] == 2 * 5000 + 4000 + 2 * 3000
    assert await platform.seat(event, "A-1-1") == "held"

    paid = await buyer.pay(held.json()["id"])

    assert paid.status_code == 200
    booking = paid.json()
    assert booking["status"] == "confirmed"
    assert sorted(t["seat"] or t["section"] for t in booking["tickets"]) == [
        "A-1-1", "A-1-2", "B-2-3", "Standing", "Standing",
    ]  # fmt: skip
    assert await platform.seat(event, "A-1-1") == "sold"
    assert await platform.free_places(event, "Standing") == 98
    assert await buyer.booking(booking["id"]) == booking
    [intent] = await platform.provider.intents(booking["id"])
    assert (intent["captured"], intent["currency"].upper()) == (20000, "EUR")


async def test_a_taken_seat_is_refused_by_name_and_the_rest_stays_free(platform: PlatformClient) -> None:
    event, first, second = await platform.event(), platform.new_buyer(), platform.new_buyer()
    await first.held(event, "A-1-2")

    refused = await second.hold(event, "A-1-1", "A-1-2", "A-1-3")

    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"].endswith("/seats-unavailable")
    assert refused.json()["seats"] == ["A-1-2"]
    assert await platform.seat(event, "A-1-1") == "available"


async def test_a_buyer_whose_card_is_declined_keeps_the_seats_and_pays_with_another_card(
    platform: PlatformClient,
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")

    declined = await buyer.pay(booking, DECLINED_CARD)

    assert declined.status_code == 402
    assert declined.json()["code"] == "generic_decline"
    assert await buyer.status(booking) == "held"
    assert await platform.seat(event, "A-1-1") == "held"
    assert await platform.provider.kept(booking) == 0

    assert (await buyer.pay(booking, CARD)).json()["status"] == "confirmed"
    assert await platform.provider.kept(booking) == 5000


DECLINES = [
    ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
]


@pytest.mark.parametrize(("card", "code"), sample(DECLINES, 1, of="reasons of a decline"))
async def test_a_decline_has_the_providers_reason(platform: PlatformClient, card: str, code: str) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, quantities={"Standing": 1})
    declined = await buyer.pay(booking, card)
    assert (declined.status_code, declined.json()["code"]) == (402, code)


async def test_an_unpaid_hold_expires_and_frees_the_seats(platform: PlatformClient) -> None:
    event, buyer = await platform.event(hold_seconds=2), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1", quantities={"Standing": 3})

    await buyer.ends_as(booking, "expired")

    assert await platform.seat(event, "A-1-1") == "available"
    assert await platform.free_places(event, "Standing") == 100
    assert (await buyer.pay(booking)).status_code == 409
    await platform.redis_knows_the_end(booking)
    await platform.new_buyer().held(event, "A-1-1")


async def test_an_event_cancelled_after_the_authorization_takes_no_money(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.call_off(event)

    refused = await buyer.pay(booking)

    assert refused.status_code == 409
    assert refused.json()["type"].endswith("/event-not-on-sale")
    assert await buyer.status(booking) == "failed"
    assert await platform.provider.kept(booking) == 0


async def test_three_d_secure_lets_the_buyer_act_and_then_confirms_by_itself(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")

    answer = await buyer.pay(booking, CARD_WITH_3DS)

    assert answer.status_code == 202
    assert answer.json()["status"] == "action_required"
    assert (await buyer.pay(booking)).json()["type"].endswith("/payment-in-progress")
    await platform.provider.act(answer.json()["next_action"]["url"], "approve")
    await buyer.ends_as(booking, "confirmed")


@pytest.mark.thorough
async def test_a_buyer_who_fails_three_d_secure_keeps_the_seats(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    answer = await buyer.pay(booking, CARD_WITH_3DS)
    await platform.provider.act(answer.json()["next_action"]["url"], "fail")
    await buyer.ends_as(booking, "held")
    assert (await buyer.pay(booking)).json()["status"] == "confirmed"


async def test_a_second_payment_is_refused_while_one_is_running(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("timeout_before", "confirm", booking, delay_seconds=1.5)

    answers = await asyncio.gather(*(buyer.pay(booking) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert await platform.provider.kept(booking) == 5000


async def test_support_finds_a_booking_in_temporal_by_status_event_and_id(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    description = await eventually(lambda: platform.saga(booking).describe())
    attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert attributes["SeatwrightStatus"] == "confirmed"
    assert attributes["SeatwrightBooking"] == booking
    assert attributes["SeatwrightEvent"] == event


@pytest.mark.thorough
async def test_free_places_are_confirmed_without_asking_any_provider(platform: PlatformClient) -> None:
    event, buyer = await platform.event(standing_price=0), platform.new_buyer()
    booking = await buyer.bought(event, quantities={"Standing": 2})
    assert (booking["status"], booking["amount"], len(booking["tickets"])) == ("confirmed", 0, 2)
    assert await platform.provider.intents(booking["id"]) == []
