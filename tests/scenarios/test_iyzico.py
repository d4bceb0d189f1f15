"""Paying on iyzico's page, as a buyer, a browser and a clumsy provider do it; every test ends with the audit."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from config.settings import Settings, secret
from sandbox.iyzico.signatures import sign_notification
from tests.box_office import BoxOffice, Buyer
from tests.iyzico_buyer import APPROVED, DO_NOT_HONOUR, EXPIRED, LOST, NO_FUNDS, Page, authenticate, pay_with
from tests.waiting import eventually
from tests.webhooks import rows


async def ordered(buyer: Buyer, booking: str, *, key: str | None = None) -> str:
    """Order the payment, and the page where the buyer pays."""
    answer = await buyer.pay(booking, None, provider="iyzico", key=key)
    assert (answer.status_code, answer.json()["status"]) == (202, "action_required"), answer.text
    action = answer.json()["next_action"]
    assert action["type"] == "redirect_to_url"
    return str(action["url"])


async def browses(url: str, card: str, *, with_3ds: bool | None = None) -> Page:
    """The buyer chooses a card; with 3-D Secure (`with_3ds` says how) also answers the bank; and comes back to us."""
    page = await asyncio.to_thread(pay_with, url, card, with_3ds=with_3ds is not None)
    if with_3ds is not None:
        page = await asyncio.to_thread(authenticate, url, approve=with_3ds)
    if page.back_to:
        async with httpx2.AsyncClient() as browser:
            back = await browser.post(page.back_to, data={"token": page.token})
        assert back.status_code == 200, back.text
    return page


async def test_a_buyer_who_pays_on_iyzico_s_page_gets_the_tickets(box_office: BoxOffice) -> None:
    event, buyer, key = await box_office.event(), box_office.somebody(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking, key=key)
    assert await box_office.provider.kept(booking) == 0

    await browses(url, APPROVED)

    await buyer.ends_as(booking, "confirmed")
    [intent] = await box_office.provider.intents(booking)
    assert (intent["face"], intent["captured"], intent["held"]) == ("iyzico", 5000, 0)
    again = await buyer.pay(booking, None, provider="iyzico", key=key)
    assert (again.status_code, len(again.json()["tickets"])) == (200, 1)


async def test_a_buyer_who_never_comes_back_to_our_page_is_confirmed_all_the_same(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await asyncio.to_thread(pay_with, await ordered(buyer, booking), APPROVED)
    await buyer.ends_as(booking, "confirmed")


@pytest.mark.parametrize("manner", [{"drop": 1}, {"double": 1, "delay_seconds": 1, "seed": 7}])
async def test_lost_or_doubled_notifications_change_nothing(box_office: BoxOffice, manner: dict[str, float]) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await box_office.provider.send(booking, **manner)
    await asyncio.to_thread(pay_with, await ordered(buyer, booking), APPROVED)
    await buyer.ends_as(booking, "confirmed")
    assert await box_office.provider.kept(booking) == 5000


async def test_a_forged_notification_is_refused_and_one_about_an_unknown_form_changes_nothing(
    box_office: BoxOffice, settings: Settings
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
        refused = await box_office.http.post(path, content=body, headers=headers)
        assert refused.json()["type"].endswith("/invalid-signature")
    genuine = {name: sign_notification(secret(settings.iyzico_secret_key), notice)}
    assert (await box_office.http.post(path, content=body, headers=genuine)).status_code == 200


async def test_a_declined_card_may_be_followed_by_another_on_the_same_page(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    assert (await browses(url, NO_FUNDS)).alert
    assert await buyer.status(booking) == "action_required"
    await browses(url, APPROVED)
    await buyer.ends_as(booking, "confirmed")


@pytest.mark.parametrize(
    ("card", "approve", "code"),
    [
        (APPROVED, False, "MDSTATUS_0"),
        (NO_FUNDS, True, "NOT_SUFFICIENT_FUNDS"),
        (DO_NOT_HONOUR, True, "DO_NOT_HONOUR"),
        (LOST, True, "LOST_CARD"),
        (EXPIRED, True, "EXPIRED_CARD"),
    ],
)
async def test_who_fails_at_three_d_secure_keeps_the_seats_is_told_why_and_pays_otherwise(
    box_office: BoxOffice, card: str, approve: bool, code: str
) -> None:
    event, buyer, key = await box_office.event(), box_office.somebody(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    await browses(await ordered(buyer, booking, key=key), card, with_3ds=approve)
    await buyer.ends_as(booking, "held")

    told = await buyer.pay(booking, None, provider="iyzico", key=key)

    assert (told.status_code, told.json()["code"]) == (402, code)
    assert await box_office.provider.kept(booking) == 0
    assert (await buyer.pay(booking)).json()["status"] == "confirmed"
    assert (await buyer.pay(booking, None, provider="iyzico", key=key)).json()["status"] == "confirmed"


async def test_three_d_secure_that_succeeds_gets_the_tickets(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await browses(await ordered(buyer, booking), APPROVED, with_3ds=True)
    await buyer.ends_as(booking, "confirmed")


async def test_an_abandoned_page_lets_the_seats_be_paid_for_anew(box_office: BoxOffice, settings: Settings) -> None:
    event, buyer, key = await box_office.event(), box_office.somebody(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    await ordered(buyer, booking, key=key)

    await buyer.ends_as(booking, "held", within=settings.payment_window + 30)

    told = await buyer.pay(booking, None, provider="iyzico", key=key)
    assert (told.status_code, told.json()["type"].rpartition("/")[2]) == (409, "payment-too-late")
    await browses(await ordered(buyer, booking), APPROVED)
    await buyer.ends_as(booking, "confirmed")


async def test_a_cancel_while_the_buyer_is_at_three_d_secure_frees_the_seats(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    await asyncio.to_thread(pay_with, url, APPROVED, with_3ds=True)
    assert (await buyer.cancel(booking)).json()["status"] == "cancelled"
    assert await box_office.seat(event, "A-1-1") == "available"


async def test_a_hold_that_ends_while_the_buyer_pays_is_kept_for_the_payment(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(hold_seconds=2), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    expires = datetime.fromisoformat((await buyer.booking(booking))["expires_at"])
    await eventually(lambda: datetime.now(UTC) > expires)
    await browses(url, APPROVED)
    await buyer.ends_as(booking, "confirmed")


async def test_a_second_click_leads_to_the_same_page_and_a_second_order_is_refused(box_office: BoxOffice) -> None:
    event, buyer, key = await box_office.event(), box_office.somebody(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking, key=key)
    assert await ordered(buyer, booking, key=key) == url
    other = await buyer.pay(booking, None, provider="iyzico")
    assert (other.status_code, other.json()["type"].rpartition("/")[2]) == (409, "payment-in-progress")
    assert len(await box_office.provider.intents(booking)) == 1
    await browses(url, APPROVED)
    await buyer.ends_as(booking, "confirmed")


async def test_a_page_that_is_paid_after_a_cancel_gives_the_money_back(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    assert (await buyer.cancel(booking)).json()["status"] == "cancelled"

    await browses(url, APPROVED)

    await eventually(lambda: box_office.provider.calls(booking, "cancel"), within=30)
    assert await eventually(lambda: gone(box_office, booking))


async def test_an_abandoned_page_that_is_paid_after_all_gives_back_what_was_paid_twice(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    assert (await buyer.abandon(booking)).json()["status"] == "held"
    assert (await buyer.pay(booking)).json()["status"] == "confirmed"

    await browses(url, APPROVED)

    await eventually(lambda: box_office.provider.calls(booking, "cancel"), within=30)
    assert await eventually(lambda: settled(box_office, booking, 5000))


async def test_a_page_that_is_paid_after_the_hold_is_over_gets_the_seats_all_the_same(
    box_office: BoxOffice, settings: Settings
) -> None:
    event, buyer = await box_office.event(hold_seconds=2), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    await buyer.ends_as(booking, "expired", within=settings.payment_window + 30)
    await browses(url, APPROVED)
    await buyer.ends_as(booking, "confirmed", within=60)


async def test_a_page_that_has_expired_is_watched_no_more(box_office: BoxOffice, settings: Settings) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await ordered(buyer, booking)
    await buyer.abandon(booking)
    watched = "SELECT watched FROM attempts WHERE booking_id = %s"
    assert rows(settings, watched, booking) == [(True,)]
    aged = "UPDATE attempts SET opened_at = opened_at - interval '2 hours' WHERE booking_id = %s RETURNING number"
    rows(settings, aged, booking)
    await eventually(lambda: rows(settings, watched, booking) == [(False,)], within=60)


async def gone(box_office: BoxOffice, booking: str) -> bool:
    return await settled(box_office, booking, 0)


async def settled(box_office: BoxOffice, booking: str, kept: int) -> bool:
    return await box_office.provider.kept(booking) == kept


FAULTS = ("429", "500_before", "500_after", "timeout_before", "timeout_after", "reset_before", "reset_after")


@pytest.mark.parametrize("operation", ["create", "retrieve", "capture"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_on_the_way_to_the_ticket_is_looked_up_and_charged_once(
    box_office: BoxOffice, operation: str, fault: str
) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await box_office.provider.will(fault, operation, booking, face="iyzico", delay_seconds=5)
    await browses(await ordered(buyer, booking), APPROVED)
    await buyer.ends_as(booking, "confirmed", within=60)
    assert sum(each["captured"] for each in await box_office.provider.intents(booking)) == 5000


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_on_the_way_back_still_releases_the_money(box_office: BoxOffice, fault: str) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    url = await ordered(buyer, booking)
    await box_office.call_off(event)
    await box_office.provider.will(fault, "cancel", booking, face="iyzico", delay_seconds=5)
    await browses(url, APPROVED)
    await buyer.ends_as(booking, "failed", within=60)
    assert await box_office.provider.kept(booking) == 0


async def test_a_capture_that_the_bank_refuses_undoes_the_booking(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    await box_office.provider.will("decline", "capture", booking, face="iyzico", times=9)
    await browses(await ordered(buyer, booking), APPROVED)
    await buyer.ends_as(booking, "failed")
    assert await box_office.provider.kept(booking) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "iyzico", "payment_method": "pm_card_visa"}, "payment_method"),
        ({"provider": "stripe"}, "payment_method"),
        ({"provider": "iyziko"}, "provider"),
    ],
)
async def test_an_order_that_does_not_fit_its_provider_names_the_field(
    box_office: BoxOffice, body: dict[str, Any], field: str
) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    refused = await buyer.post(f"/v1/bookings/{booking}/payment", body, key=str(uuid4()))
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert await buyer.status(booking) == "held"


async def test_a_currency_that_the_provider_does_not_take_is_refused_and_another_provider_takes_it(
    box_office: BoxOffice,
) -> None:
    event, buyer = await box_office.event(currency="CHF"), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    refused = await buyer.pay(booking, None, provider="iyzico")
    assert (refused.status_code, refused.json()["field"]) == (422, "provider")
    assert (await buyer.pay(booking)).json()["status"] == "confirmed"
