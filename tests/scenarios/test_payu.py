"""Buying through PayU, from the REST call to the audit: the buyer pays on PayU's page, or does not."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import pytest

from adapters.payu_signature import HEADER
from sandbox.payu.messages import signature
from tests.box_office import BoxOffice, Buyer
from tests.payu_buyer import PayUBuyer
from tests.waiting import eventually

SLOWLY = 60
"""The saga asks the provider ever less often, and a loaded machine is slow."""


async def order(buyer: Buyer, booking: str, *, key: str | None = None, **more: Any) -> httpx2.Response:
    return await buyer.post(f"/v1/bookings/{booking}/payment", {"provider": "payu"} | more, key=key or str(uuid4()))


async def sent_to_payu(buyer: Buyer, booking: str, *, key: str | None = None) -> PayUBuyer:
    """Order a payment, and its buyer at PayU's page."""
    answer = await order(buyer, booking, key=key)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["status"], body["next_action"]["type"]) == ("action_required", "redirect_to_url")
    return PayUBuyer(body["next_action"]["url"])


async def acts(box_office: BoxOffice, page: PayUBuyer, card: str, outcome: str | None = None) -> None:
    """Pay with a card, answer the bank where it asks, and come back to us as a browser does."""
    await asyncio.to_thread(page.pay, card)
    if outcome:
        await asyncio.to_thread(page.answer, outcome)
    back = await box_office.http.get(page.at)
    assert back.status_code == 200, back.text


async def is_held_again(buyer: Buyer, booking: str) -> None:
    assert await buyer.ends_as(booking, "held", within=SLOWLY)


async def reason(buyer: Buyer, booking: str, key: str) -> str:
    """Why an order came to nothing, as its repetition tells."""
    answer = await order(buyer, booking, key=key)
    assert answer.status_code == 402, answer.text
    return str(answer.json()["code"])


async def test_a_buyer_who_pays_at_payu_gets_the_tickets(box_office: BoxOffice) -> None:
    buyer, event, key = box_office.somebody(), await box_office.event(), str(uuid4())
    booking = await buyer.held(event, "A-1-1", "A-1-2")
    page = await sent_to_payu(buyer, booking, key=key)
    assert await box_office.provider.kept(booking) == 0
    await acts(box_office, page, "approved")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)
    again = await order(buyer, booking, key=key)
    assert (again.status_code, len(again.json()["tickets"])) == (200, 2)
    (known,) = await box_office.provider.intents(booking)
    assert (known["face"], known["state"], known["captured"]) == ("payu", "captured", 10000)


async def test_a_buyer_who_is_declined_at_payu_keeps_the_seats_and_may_try_again(box_office: BoxOffice) -> None:
    buyer, event, key = box_office.somebody(), await box_office.event(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    page = await sent_to_payu(buyer, booking, key=key)
    await acts(box_office, page, "S51")
    assert page.at.endswith("error=501")
    await is_held_again(buyer, booking)
    assert await eventually(lambda: reason(buyer, booking, key), within=SLOWLY) == "S51"
    page = await sent_to_payu(buyer, booking)
    await acts(box_office, page, "approved")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)
    assert await box_office.provider.kept(booking) == 5000


async def test_who_passes_three_d_secure_gets_the_tickets(box_office: BoxOffice) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    page = await sent_to_payu(buyer, booking)
    await acts(box_office, page, "3ds", "approve")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)


async def test_who_refuses_three_d_secure_keeps_the_seats_and_the_money(box_office: BoxOffice) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    page = await sent_to_payu(buyer, booking)
    await acts(box_office, page, "3ds", "fail")
    await is_held_again(buyer, booking)
    assert await box_office.provider.kept(booking) == 0


async def test_who_leaves_payu_s_page_may_pay_otherwise_when_the_window_has_closed(box_office: BoxOffice) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    page = await sent_to_payu(buyer, booking)
    await asyncio.to_thread(page.pay, "3ds")
    await is_held_again(buyer, booking)
    assert await asyncio.to_thread(page.look) == "There is nothing left to pay here"
    assert (await buyer.pay(booking)).status_code == 200
    assert sorted(each["face"] for each in await box_office.provider.intents(booking)) == ["payu", "stripe"]


async def test_who_cancels_while_at_payu_s_page_pays_nothing(box_office: BoxOffice) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    page = await sent_to_payu(buyer, booking)
    assert (await buyer.cancel(booking)).json()["status"] == "cancelled"
    assert await asyncio.to_thread(page.look) == "There is nothing left to pay here"
    assert await box_office.provider.kept(booking) == 0


@pytest.mark.parametrize("kind", ["timeout_after", "500_after"])
async def test_a_lost_opening_leads_to_one_page_and_one_charge(box_office: BoxOffice, kind: str) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    await box_office.provider.will(kind, "create", booking, face="payu", delay_seconds=5)
    page = await sent_to_payu(buyer, booking)
    await acts(box_office, page, "approved")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)
    opened = await box_office.provider.intents(booking)
    assert sorted(each["authorized"] for each in opened) == [0, 5000]
    assert await box_office.provider.kept(booking) == 5000


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "500_after", "reset_after"])
async def test_a_capture_whose_answer_is_lost_takes_the_money_once(box_office: BoxOffice, kind: str) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    await box_office.provider.will(kind, "capture", booking, face="payu", delay_seconds=5)
    page = await sent_to_payu(buyer, booking)
    await acts(box_office, page, "approved")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)
    captures = await box_office.provider.calls(booking, "capture")
    assert len(captures) == (2 if kind == "timeout_before" else 1)
    assert await box_office.provider.kept(booking) == 5000


async def test_a_refused_capture_gives_money_and_seats_back(box_office: BoxOffice) -> None:
    buyer, event = box_office.somebody(), await box_office.event()
    booking = await buyer.held(event, "A-1-1")
    await box_office.provider.will("decline", "capture", booking, face="payu")
    page = await sent_to_payu(buyer, booking)
    await acts(box_office, page, "approved")
    await buyer.ends_as(booking, "failed", within=SLOWLY)
    assert await box_office.provider.kept(booking) == 0
    assert await box_office.seat(event, "A-1-1") == "available"


async def test_a_cancellation_whose_answer_is_lost_is_looked_up(box_office: BoxOffice) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    await sent_to_payu(buyer, booking)
    await box_office.provider.will("timeout_after", "cancel", booking, face="payu", delay_seconds=5)
    assert (await buyer.cancel(booking)).json()["status"] == "cancelled"
    (call,) = await box_office.provider.calls(booking, "cancel")
    assert call["status"] is None
    assert await box_office.provider.kept(booking) == 0


async def test_a_payment_method_is_chosen_at_payu_and_not_here(box_office: BoxOffice) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    answer = await order(buyer, booking, payment_method="TOKC_KPNZVSLJUNR4DHF5NPVKDPJGMX7")
    assert (answer.status_code, answer.json()["field"]) == (422, "payment_method")
    assert await buyer.status(booking) == "held"
    assert await box_office.provider.intents(booking) == []


async def test_one_key_opens_one_order_however_often_it_is_sent(box_office: BoxOffice) -> None:
    buyer, key = box_office.somebody(), str(uuid4())
    booking = await buyer.held(await box_office.event(), "A-1-1")
    answers = await asyncio.gather(*(order(buyer, booking, key=key) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    (url,) = {answer.json()["next_action"]["url"] for answer in answers}
    await acts(box_office, PayUBuyer(url), "approved")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)
    assert len(await box_office.provider.intents(booking)) == 1


async def test_who_closes_the_browser_at_payu_after_paying_gets_the_tickets_by_payu_s_notification(
    box_office: BoxOffice,
) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    page = await sent_to_payu(buyer, booking)
    await asyncio.to_thread(page.pay, "approved")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)

    async def heard() -> list[tuple[str, int]]:
        told = await box_office.provider.messages(booking)
        assert all(each["status"] for each in told), told
        return [(each["type"], each["status"]) for each in told]

    assert await eventually(heard) == [("WAITING_FOR_CONFIRMATION", 200), ("COMPLETED", 200)]


@pytest.mark.parametrize("manner", [{"drop": 1}, {"double": 1, "delay_seconds": 3}])
async def test_lost_doubled_or_late_notifications_cost_time_at_most(
    box_office: BoxOffice, manner: dict[str, float]
) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    await box_office.provider.send(booking, **manner)
    page = await sent_to_payu(buyer, booking)
    await asyncio.to_thread(page.pay, "approved")
    await buyer.ends_as(booking, "confirmed", within=SLOWLY)
    await box_office.provider.resend(booking)
    assert await box_office.provider.kept(booking) == 5000


async def test_a_forged_notification_is_refused_and_changes_nothing(box_office: BoxOffice) -> None:
    buyer = box_office.somebody()
    booking = await buyer.held(await box_office.event(), "A-1-1")
    await sent_to_payu(buyer, booking)
    (order_,) = await box_office.provider.intents(booking)
    body = orjson.dumps({"order": {"orderId": order_["id"], "status": "COMPLETED"}})
    for headers in ({}, {HEADER: signature(body, "guessed")}):
        answer = await box_office.http.post("/v1/webhooks/payu", content=body, headers=headers)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (400, "invalid-signature")
    assert await buyer.status(booking) == "action_required"
    assert (await buyer.cancel(booking)).status_code == 200
