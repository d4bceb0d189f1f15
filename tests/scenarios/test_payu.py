"""Buying through PayU, from the REST call to the audit: with and without a payment on PayU's page."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import pytest

from adapters.payment.payu.signatures import HEADER
from sandbox.payu.messages import signature
from tests.buyer import Buyer
from tests.payu_buyer import PayUBuyer
from tests.platform_client import PlatformClient
from tests.scenarios.any_seat import any_seat
from tests.waiting import eventually

SLOWLY = 60
"""The intervals between polls of the provider grow, and a loaded machine is slow."""


async def order(buyer: Buyer, booking: str, *, key: str | None = None, **more: Any) -> httpx2.Response:
    return await buyer.post(f"/v1/bookings/{booking}/payment", {"provider": "payu"} | more, key=key or str(uuid4()))


async def sent_to_payu(buyer: Buyer, booking: str, *, key: str | None = None) -> PayUBuyer:
    """Start a payment; returns the buyer at PayU's page."""
    answer = await order(buyer, booking, key=key)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["status"], body["next_action"]["type"]) == ("action_required", "redirect_to_url")
    return PayUBuyer(body["next_action"]["url"])


async def acts(platform: PlatformClient, page: PayUBuyer, card: str, outcome: str | None = None) -> None:
    """Pay with a card, answer the bank if required, and return to the platform like a browser."""
    await asyncio.to_thread(page.pay, card)
    if outcome:
        await asyncio.to_thread(page.answer, outcome)
    back = await platform.http.get(page.at)
    assert back.status_code == 200, back.text


async def is_held_again(buyer: Buyer, booking: str) -> None:
    assert await buyer.ends_as(booking, "held", within=SLOWLY)


async def reason(buyer: Buyer, booking: str, key: str) -> str:
    """The problem of a failed payment, from a repeated call."""
    answer = await order(buyer, booking, key=key)
    assert answer.status_code == 402, answer.text
    return str(answer.json()["code"])


async def test_a_buyer_who_pays_at_payu_gets_the_tickets(platform: PlatformClient) -> None:
    buyer, event, key = platform.new_buyer(), await platform.event(), str(uuid4())
    booking = await buyer.held(event, "A-1-1", "A-1-2")
    page = await sent_to_payu(buyer, booking, key=key)
    assert await platform.provider.kept(booking) == 0
    await acts(platform, page, "approved")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)
    again = await order(buyer, booking, key=key)
    assert (again.status_code, len(again.json()["tickets"])) == (200, 2)
    (known,) = await platform.provider.intents(booking)
    assert (known["face"], known["state"], known["captured"]) == ("payu", "captured", 10000)


@pytest.mark.thorough  # the table of tests/providers has a buyer who walks away at each provider
async def test_a_buyer_who_leaves_payus_page_may_pay_again_after_the_window(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(*await any_seat(platform))
    page = await sent_to_payu(buyer, booking)
    await asyncio.to_thread(page.pay, "3ds")
    await is_held_again(buyer, booking)
    assert await asyncio.to_thread(page.look) == "There is nothing left to pay here"
    assert (await buyer.pay(booking)).status_code == 200
    assert sorted(each["face"] for each in await platform.provider.intents(booking)) == ["payu", "stripe"]


async def test_a_buyer_who_cancels_while_on_payus_page_pays_nothing(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(*await any_seat(platform))
    page = await sent_to_payu(buyer, booking)
    assert (await buyer.cancel(booking)).json()["status"] == "cancelled"
    assert await asyncio.to_thread(page.look) == "There is nothing left to pay here"
    assert await platform.provider.kept(booking) == 0


async def test_a_payment_method_is_chosen_at_payu_and_not_in_the_request(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(*await any_seat(platform))
    answer = await order(buyer, booking, payment_method="TOKC_KPNZVSLJUNR4DHF5NPVKDPJGMX7")
    assert (answer.status_code, answer.json()["field"]) == (422, "payment_method")
    assert await buyer.status(booking) == "held"
    assert await platform.provider.intents(booking) == []


async def test_a_buyer_who_pays_and_closes_the_browser_is_confirmed_by_notification(
    platform: PlatformClient,
) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(*await any_seat(platform))
    page = await sent_to_payu(buyer, booking)
    await asyncio.to_thread(page.pay, "approved")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)

    async def heard() -> list[tuple[str, int]]:
        told = await platform.provider.messages(booking)
        assert all(each["status"] == 200 for each in told), told
        return [(each["type"], each["status"]) for each in told]

    assert await eventually(heard) == [("WAITING_FOR_CONFIRMATION", 200), ("COMPLETED", 200)]


async def test_a_forged_notification_is_refused_and_changes_nothing(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(*await any_seat(platform))
    await sent_to_payu(buyer, booking)
    (order_,) = await platform.provider.intents(booking)
    body = orjson.dumps({"order": {"orderId": order_["id"], "status": "COMPLETED"}})
    for headers in ({}, {HEADER: signature(body, "guessed")}):
        answer = await platform.http.post("/v1/webhooks/payu", content=body, headers=headers)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (400, "invalid-signature")
    assert await buyer.status(booking) == "action_required"
    assert (await buyer.cancel(booking)).status_code == 200
