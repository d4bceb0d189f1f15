"""Money that a provider can move: in every currency, at the limits, and for nothing at all."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.buyer import CARD
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.test_refunds import accepted, becomes


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rsplit("/")[-1]


PAID: list[tuple[str, int, dict[str, int], int]] = [
    ("EUR", 4550, {"fee_percent": 1}, 4505),
    ("JPY", 5000, {"fee_percent": 3, "fee_fixed": 7}, 4843),
    ("ISK", 33, {"fee_percent": 10}, 30),
    ("UGX", 5000, {"fee_fixed": 150}, 4850),
    ("KWD", 12_340, {"fee_percent": 5}, 11_730),
    ("MGA", 10_000, {"fee_fixed": 150}, 9900),
    ("MGA", 25_000, {"fee_percent": 1}, 24_800),
    ("IDR", 150_000_000_000, {"fee_percent": 50}, 75_000_000_000),
    ("LBP", 500_000_000, {}, 500_000_000),
]


@pytest.mark.parametrize(("currency", "price", "policy", "back"), sample(PAID, 3, of="what is paid in any currency"))
async def test_what_is_paid_in_any_currency_can_be_given_back(
    platform: PlatformClient, currency: str, price: int, policy: dict[str, int], back: int
) -> None:
    event = await platform.event(
        currency=currency, refund_policy=policy, price=price, cheaper=price, standing_price=price
    )
    buyer = platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", "B-1-1")
    assert booking["amount"] == 2 * price
    await platform.assert_audit_is_clean()

    [ticket] = [each["id"] for each in booking["tickets"] if each["seat"] == "A-1-1"]
    refund = await accepted(buyer, booking["id"], ticket)
    assert (refund["amount"], refund["fee"]) == (back, price - back)
    await becomes(buyer, booking["id"], "partially_refunded")
    await accepted(buyer, booking["id"])
    await becomes(buyer, booking["id"], "refunded")
    assert (await buyer.booking(booking["id"]))["refunded"] == 2 * back


async def test_more_than_can_be_paid_at_once_is_refused_at_the_hold(platform: PlatformClient) -> None:
    event = await platform.event(price=10_000_000, rows=5)
    seats = [f"A-1-{number}" for number in range(1, 11)]
    buyer = platform.new_buyer()
    answer = await buyer.hold(event, *seats)
    assert refused(answer) == (422, "amount-not-payable")
    assert "EUR 999999.99" in answer.json()["detail"]
    assert (answer.json()["amount"], answer.json()["maximum"]) == (100_000_000, 99_999_999)
    assert await platform.seat(event, "A-1-1") == "available"
    assert (await buyer.hold(event, *seats[:9])).status_code == 201


async def test_a_provider_that_does_not_take_the_amount_is_refused_in_true_words(platform: PlatformClient) -> None:
    event = await platform.event(currency="HUF", price=60_000_000, cheaper=20_000, standing_price=20_000)
    buyer = platform.new_buyer()
    booking = await buyer.held(event, "A-1-1", "A-1-2")
    by_payu = await buyer.pay(booking, None, provider="payu")
    assert (refused(by_payu), by_payu.json()["field"]) == ((422, "amount-not-payable"), "provider")
    assert "payu cannot be paid HUF 1200000.00: it takes HUF 0.01 to HUF 999999.99" in by_payu.json()["detail"]
    assert await platform.provider.intents(booking) == []
    assert (await buyer.pay(booking)).status_code == 200


async def test_a_difference_that_the_provider_does_not_take_is_refused(platform: PlatformClient) -> None:
    event, buyer = await platform.event(price=4010), platform.new_buyer()
    booking = await buyer.bought(event, "B-1-1")
    ticket = booking["tickets"][0]["id"]
    by_stripe = await buyer.exchange(booking["id"], ticket, "A-1-1")
    assert refused(by_stripe) == (422, "amount-not-payable")
    assert "stripe cannot be paid EUR 0.10" in by_stripe.json()["detail"]
    assert await platform.seat(event, "A-1-1") == "available"
    assert await buyer.exchanges(booking["id"]) == []


FREE: list[dict[str, Any]] = [
    {},
    {"provider": "stripe"},
    {"provider": "stripe", "payment_method": CARD},
    {"provider": "iyzico", "payment_method": CARD},
    {"provider": "payu"},
    {"provider": "paypal"},
    {"payment_method": CARD},
]


@pytest.mark.parametrize("currency", ["EUR", "GHS"])
async def test_free_places_are_confirmed_without_provider_or_card(platform: PlatformClient, currency: str) -> None:
    event = await platform.event(currency=currency, price=0, cheaper=0, standing_price=0)
    buyer, wrong = platform.new_buyer(), []
    for number, body in enumerate(FREE, 1):
        booking = await buyer.held(event, f"A-1-{number}", quantities={"Standing": 2})
        answer = await buyer.post(f"/v1/bookings/{booking}/payment", body, key=str(uuid4()))
        told = answer.json()
        became = answer.status_code, told.get("status"), len(told.get("tickets", ()))
        if became != (200, "confirmed", 3) or await platform.provider.intents(booking):
            wrong.append(f"{body}: {answer.text}")
    assert not wrong, "\n".join(wrong)


async def test_places_that_cost_something_need_a_provider(platform: PlatformClient) -> None:
    event, buyer = await platform.event(standing_price=0), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1", quantities={"Standing": 2})
    cases: list[tuple[dict[str, str], str]] = [
        ({}, "provider"),
        ({"payment_method": CARD}, "provider"),
        ({"provider": "stripe"}, "payment_method"),
    ]
    for body, field in cases:
        answer = await buyer.post(f"/v1/bookings/{booking}/payment", body, key=str(uuid4()))
        assert (refused(answer), answer.json()["field"]) == ((422, "invalid-request"), field)
    assert await buyer.status(booking) == "held"


async def test_an_equal_seat_needs_no_provider_whatever_is_sent(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1")
    ticket = booking["tickets"][0]["id"]
    answer = await buyer.exchange(booking["id"], ticket, "A-1-2", method=None, provider="stripe")
    assert answer.status_code == 200, answer.text
