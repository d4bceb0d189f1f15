"""Paying on iyzico's page, also with provider faults; every test ends with the audit."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from config.settings import Settings
from sandbox.iyzico.signatures import sign_notification
from tests.buyer import Buyer
from tests.http_client import http_client
from tests.iyzico_buyer import APPROVED, NO_FUNDS, Page, authenticate, pay_with
from tests.pace import stretched
from tests.platform_client import PlatformClient
from tests.provider_settings import iyzico_settings
from tests.waiting import eventually
from tests.webhooks import rows


async def ordered(buyer: Buyer, booking: str, *, key: str | None = None) -> str:
    """Start the payment; returns the address of iyzico's page."""
    answer = await buyer.pay(booking, None, provider="iyzico", key=key)
    assert (answer.status_code, answer.json()["status"]) == (202, "action_required"), answer.text
    action = answer.json()["next_action"]
    assert action["type"] == "redirect_to_url"
    return str(action["url"])


async def browses(url: str, card: str, *, with_3ds: bool | None = None) -> Page:
    """Choose a card, answer the bank if `with_3ds` is given, and return to the platform."""
    page = await asyncio.to_thread(pay_with, url, card, with_3ds=with_3ds is not None)
    if with_3ds is not None:
        page = await asyncio.to_thread(authenticate, url, approve=with_3ds)
    if page.back_to:
        async with http_client() as browser:
            back = await browser.post(page.back_to, data={"token": page.token})
        assert back.status_code == 200, back.text
    return page


async def test_a_buyer_who_pays_on_iyzico_s_page_gets_the_tickets(platform: PlatformClient) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking, key=key)
    assert await platform.provider.kept(booking) == 0

    await browses(url, APPROVED)

    await buyer.ends_as(booking, "confirmed")
    [intent] = await platform.provider.intents(booking)
    assert (intent["face"], intent["captured"], intent["held"]) == ("iyzico", 5000, 0)
    again = await buyer.pay(booking, None, provider="iyzico", key=key)
    assert (again.status_code, len(again.json()["tickets"])) == (200, 1)


async def test_a_buyer_who_never_returns_from_iyzico_is_confirmed(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await asyncio.to_thread(pay_with, await ordered(buyer, booking), APPROVED)
    await buyer.ends_as(booking, "confirmed")


async def test_a_forged_notification_is_refused_and_an_unknown_form_changes_nothing(
    platform: PlatformClient, settings: Settings
) -> None:
    notice = {
        "iyziEventType": "CHECKOUT_FORM_AUTH",
        "iyziPaymentId": 1,
        "token": str(uuid4()),
        "paymentConversationId": "c",
        "status": "SUCCESS",
    }
    body = json.dumps(notice).encode()
    path, name = "/v1/webhooks/iyzico", "X-IYZ-SIGNATURE-V3"
    for headers in ({}, {name: sign_notification("guessed", notice)}):
        refused = await platform.http.post(path, content=body, headers=headers)
        assert refused.json()["type"].endswith("/invalid-signature")
    genuine = {name: sign_notification(iyzico_settings(settings).secret_key.get_secret_value(), notice)}
    assert (await platform.http.post(path, content=body, headers=genuine)).status_code == 200


async def test_a_declined_card_may_be_followed_by_another_on_the_same_page(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    assert (await browses(url, NO_FUNDS)).alert
    assert await buyer.status(booking) == "action_required"
    await browses(url, APPROVED)
    await buyer.ends_as(booking, "confirmed")


@pytest.mark.thorough
async def test_a_page_that_is_paid_after_a_cancel_is_refunded(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    assert (await buyer.cancel(booking)).json()["status"] == "cancelled"

    await browses(url, APPROVED)

    await eventually(lambda: platform.provider.calls(booking, "cancel"), within=30)
    assert await eventually(lambda: gone(platform, booking))


async def test_an_abandoned_page_that_is_paid_later_refunds_the_second_payment(
    platform: PlatformClient,
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    assert (await buyer.abandon(booking)).json()["status"] == "held"
    assert (await buyer.pay(booking)).json()["status"] == "confirmed"

    await browses(url, APPROVED)

    await eventually(lambda: platform.provider.calls(booking, "cancel"), within=30)
    assert await eventually(lambda: settled(platform, booking, 5000))


@pytest.mark.thorough
async def test_a_page_that_is_paid_after_the_hold_is_over_gets_the_seats_all_the_same(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer = await platform.event(hold_seconds=stretched(4)), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    await buyer.ends_as(booking, "expired", within=settings.payment_window + 30)
    await browses(url, APPROVED)
    await buyer.ends_as(booking, "confirmed", within=60)


async def test_a_page_that_has_expired_is_watched_no_more(platform: PlatformClient, settings: Settings) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await ordered(buyer, booking)
    await buyer.abandon(booking)
    watched = "SELECT watched FROM attempts WHERE booking_id = %s"
    assert rows(settings, watched, booking) == [(True,)]
    aged = "UPDATE attempts SET opened_at = opened_at - interval '2 hours' WHERE booking_id = %s RETURNING number"
    rows(settings, aged, booking)
    await eventually(lambda: rows(settings, watched, booking) == [(False,)], within=60)


async def gone(platform: PlatformClient, booking: str) -> bool:
    return await settled(platform, booking, 0)


async def settled(platform: PlatformClient, booking: str, kept: int) -> bool:
    return await platform.provider.kept(booking) == kept


UNSUITABLE: list[tuple[dict[str, Any], str]] = [
    ({"provider": "iyzico", "payment_method": "pm_card_visa"}, "payment_method"),
    ({"provider": "stripe"}, "payment_method"),
    ({"provider": "iyziko"}, "provider"),
]


async def test_a_payment_that_does_not_suit_its_provider_names_the_field(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    for body, field in UNSUITABLE:
        refused = await buyer.post(f"/v1/bookings/{booking}/payment", body, key=str(uuid4()))
        assert (refused.status_code, refused.json()["field"]) == (422, field), body
        assert await buyer.status(booking) == "held", body


async def test_a_currency_refused_by_one_provider_is_accepted_by_another(
    platform: PlatformClient,
) -> None:
    event, buyer = await platform.event(currency="CHF"), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    refused = await buyer.pay(booking, None, provider="iyzico")
    assert (refused.status_code, refused.json()["field"]) == (422, "provider")
    assert (await buyer.pay(booking)).json()["status"] == "confirmed"
