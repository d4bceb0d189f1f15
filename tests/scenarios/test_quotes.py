"""What a quote says is what a refund or an exchange then does; money goes back by one policy, whatever the way."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.identity import Role
from tests.buyer import Buyer
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.any_seat import any_seat
from tests.scenarios.test_exchange import bought, exchanged, refused_as, ticket_of
from tests.scenarios.test_refunds import accepted, becomes

FEES = {"until_hours": 24, "fee_percent": 10, "fee_fixed": 150}
POLICIES = [
    ({}, 1000, 0),
    (FEES, 900, 100),
    ({"until_hours": 0, "fee_percent": 100}, 0, 1000),
    ({"until_hours": None}, 0, 1000),
    ({"until_hours": 24 * 31}, 0, 1000),
]
"""For each policy what an exchange of a seat at 5000 for one at 4000 gives back, and what it keeps."""


async def quoted(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def nothing_has_changed(buyer: Buyer, before: dict[str, Any]) -> None:
    assert await buyer.booking(before["id"]) == before
    assert (await buyer.refunds(before["id"]), await buyer.exchanges(before["id"])) == ([], [])


async def test_a_refund_does_what_its_quote_says_and_the_quote_changes_nothing(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "A-1-1", "B-1-1", refund_policy=FEES)
    starts_at = (await buyer.get(f"/v1/events/{event}")).json()["starts_at"]

    quote = await quoted(await buyer.quote_refund(booking["id"]))

    assert (quote["amount"], quote["fee"], quote["currency"]) == (9000 - 1200, 1200, "EUR")
    assert [(each["seat"], each["price"], each["amount"], each["fee"]) for each in quote["tickets"]] == [
        ("A-1-1", 5000, 4350, 650),
        ("B-1-1", 4000, 3450, 550),
    ]
    assert datetime.fromisoformat(quote["until"]) == datetime.fromisoformat(starts_at) - timedelta(hours=24)
    await nothing_has_changed(buyer, booking)
    one = await quoted(await buyer.quote_refund(booking["id"], ticket_of(booking, "B-1-1")))
    assert (one["amount"], one["fee"]) == (3450, 550)
    refund = await accepted(buyer, booking["id"])
    assert (refund["amount"], refund["fee"]) == (quote["amount"], quote["fee"])


@pytest.mark.parametrize(("policy", "returns", "fee"), sample(POLICIES, 2, of="policies of an exchange"))
async def test_an_exchange_for_a_cheaper_seat_obeys_the_refund_policy_as_quoted(
    platform: PlatformClient, policy: dict[str, int | None], returns: int, fee: int
) -> None:
    _, buyer, booking = await bought(platform, "A-1-1", refund_policy=policy)

    quote = await quoted(await buyer.quote_exchange(booking["id"], ticket_of(booking, "A-1-1"), "B-1-1"))

    assert (quote["difference"], quote["charge"], quote["returns"], quote["fee"]) == (-1000, 0, returns, fee)
    await nothing_has_changed(buyer, booking)
    exchange = await exchanged(buyer, booking, "A-1-1", "B-1-1", method=None)
    assert (exchange["difference"], exchange["returns"], exchange["fee"]) == (-1000, returns, fee)
    assert (exchange["refund_id"] is not None) == bool(returns)
    await becomes(buyer, booking["id"], "confirmed")
    assert (await buyer.booking(booking["id"]))["refunded"] == returns
    assert [(each["amount"], each["fee"]) for each in await buyer.refunds(booking["id"])] == (
        [(returns, fee)] if returns else []
    )
    assert await platform.provider.kept(booking["id"]) == 5000 - returns


async def test_no_exchange_makes_a_refund_cheaper(platform: PlatformClient) -> None:
    policy = {"until_hours": 0, "fee_percent": 100}
    event, buyer = await platform.event(refund_policy=policy, standing_price=0), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1")
    await exchanged(buyer, booking, "A-1-1", "B-1-1", method=None)
    refund = await accepted(buyer, booking["id"])
    assert (refund["amount"], refund["fee"]) == (0, 4000)
    await becomes(buyer, booking["id"], "refunded")
    assert await platform.provider.kept(booking["id"]) == 5000


async def test_a_dearer_seat_is_quoted_with_its_charge_and_needs_no_provider_for_that(platform: PlatformClient) -> None:
    _, buyer, booking = await bought(platform, "B-1-1", refund_policy=FEES)
    quote = await quoted(await buyer.quote_exchange(booking["id"], ticket_of(booking, "B-1-1"), "A-1-1"))
    assert (quote["difference"], quote["charge"], quote["returns"], quote["fee"]) == (1000, 1000, 0, 0)
    await nothing_has_changed(buyer, booking)


TOO_LITTLE: list[tuple[int, list[str] | None, bool]] = [(4530, ["stripe"], True), (4549, ["stripe"], True)]
ENOUGH: list[tuple[int, list[str] | None, bool]] = [
    (4550, ["stripe"], False),
    (4530, ["stripe", "payu"], False),
    (4530, None, False),
    (4500, ["stripe"], False),
    (4470, ["stripe"], False),
]


@pytest.mark.parametrize(
    ("price", "providers", "refused"),
    [*sample(TOO_LITTLE, 1, of="charges too small"), *sample(ENOUGH, 1, of="charges large enough")],
)
async def test_a_quote_offers_no_charge_that_no_provider_of_the_event_takes(
    platform: PlatformClient, price: int, providers: list[str] | None, refused: bool
) -> None:
    _, buyer, booking = await bought(platform, "B-1-1", price=price, cheaper=4500, providers=providers)
    ticket = ticket_of(booking, "B-1-1")

    quote = await buyer.quote_exchange(booking["id"], ticket, "A-1-1")

    if not refused:
        assert (await quoted(quote))["charge"] == max(price - 4500, 0)
        return
    assert refused_as(quote) == (422, "amount-not-payable")
    assert (quote.json()["amount"], quote.json()["minimum"]) == (price - 4500, 50)
    assert refused_as(await buyer.exchange(booking["id"], ticket, "A-1-1")) == (422, "amount-not-payable")
    await nothing_has_changed(buyer, booking)


async def test_what_is_impossible_is_refused_in_the_quote_as_it_would_be_when_done(platform: PlatformClient) -> None:
    policies = {"refund_policy": {"until_hours": None}, "exchange_policy": {"until_hours": None}}
    _, buyer, booking = await bought(platform, "A-1-1", **policies)
    ticket = ticket_of(booking, "A-1-1")
    assert refused_as(await buyer.quote_refund(booking["id"])) == (409, "refund-not-allowed")
    assert refused_as(await buyer.quote_exchange(booking["id"], ticket, "B-1-1")) == (409, "exchange-not-allowed")
    assert refused_as(await platform.new_buyer().quote_refund(booking["id"])) == (404, "not-found")
    held = await buyer.held(*await any_seat(platform))
    assert refused_as(await buyer.quote_refund(held)) == (409, "wrong-state")
    await nothing_has_changed(buyer, booking)


async def test_staff_see_what_a_waiver_would_give_but_not_for_their_own_booking(platform: PlatformClient) -> None:
    event = await platform.event(refund_policy={"until_hours": None})
    buyer, support = platform.new_buyer(), platform.new_buyer(Role.SUPPORT)
    booking = await buyer.bought(event, "A-1-1")
    quote = await quoted(await support.quote_refund(booking["id"], waive_policy=True))
    assert (quote["amount"], quote["fee"], quote["until"]) == (5000, 0, None)
    assert refused_as(await buyer.quote_refund(booking["id"], waive_policy=True)) == (403, "forbidden")

    own = await support.bought(event, "A-1-2")

    assert refused_as(await support.quote_refund(own["id"], waive_policy=True)) == (403, "forbidden")
    assert refused_as(await support.refund(own["id"], waive_policy=True)) == (403, "forbidden")
    await nothing_has_changed(support, own)
    refund = await accepted(platform.new_buyer(Role.OPERATOR), own["id"], waive_policy=True)
    assert (refund["amount"], refund["cause"]) == (5000, "staff")
