"""A provider that is paid another amount or currency than is owed: never confirmed, undone, and an operator knows."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from cli.operate import late_payment_app
from config.settings import Settings
from stack import Stack
from tests.buyer import CARD_WITH_3DS, Buyer
from tests.command_line import seatwright
from tests.http_client import http_client
from tests.iyzico_buyer import APPROVED, pay_with
from tests.payu_buyer import PayUBuyer
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.test_exchange_payments import exchange_is
from tests.scenarios.test_late_payments import expired
from tests.scenarios.test_refunds import accepted, becomes
from tests.waiting import eventually

PROVIDERS = ("stripe", "iyzico", "payu")
OWED = 5000
OTHERS: dict[str, dict[str, Any]] = {
    "less": {"amount": OWED - 1}, "more": {"amount": OWED + 1}, "other currency": {"currency": "USD"},
}  # fmt: skip


def pairs(*kinds: str, of: str) -> list[tuple[str, str]]:
    """All pairs of a provider and a kind; outside `make prove` a choice with each provider once, and each kind."""
    choices = [
        [(provider, kinds[(place + shift) % len(kinds)]) for place, provider in enumerate(PROVIDERS)]
        for shift in range(len(kinds))
    ]
    return [pair for choice in sample(choices, 1, of=of) for pair in choice]


async def waiting_buyer(buyer: Buyer, booking: str, provider: str) -> str:
    """Start a payment; returns the page on which its buyer has to act."""
    answer = await buyer.pay(booking, CARD_WITH_3DS if provider == "stripe" else None, provider=provider)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["next_action"]["url"])


async def acts(platform: PlatformClient, provider: str, page: str) -> None:
    """Pay on the page; what becomes of it the saga learns by itself."""
    if provider == "stripe":
        await platform.provider.act(page, "approve")
    elif provider == "iyzico":
        await asyncio.to_thread(pay_with, page, APPROVED)
    else:
        await asyncio.to_thread(PayUBuyer(page).pay, "approved")


async def parks(saga: WorkflowHandle[Any, Any], within: float = 60) -> None:
    """Wait until Temporal's UI shows that the saga waits for an operator."""

    async def is_parked() -> bool:
        attributes = (await saga.describe()).typed_search_attributes
        return {pair.key.name: pair.value for pair in attributes}.get("SeatwrightStatus") == "needs_attention"

    await eventually(is_parked, within=within)


async def is_failed(buyer: Buyer, booking: str) -> bool:
    return await buyer.status(booking) == "failed"


async def is_undone(platform: PlatformClient, buyer: Buyer, event: str, booking: str) -> None:
    """Nothing is kept and nothing confirmed, before an operator has acted and after it."""
    await parks(platform.saga(booking))
    assert await platform.provider.kept(booking) == 0
    assert (await buyer.booking(booking))["tickets"] == []
    assert await platform.seat(event, "A-1-1") != "available"
    await platform.saga(booking).execute_update("operate", "retry")
    await eventually(lambda: is_failed(buyer, booking))
    assert await platform.seat(event, "A-1-1") == "available"
    assert await platform.provider.kept(booking) == 0


@pytest.mark.parametrize(("provider", "kind"), pairs(*OTHERS, of="payments of another amount"))
async def test_a_payment_of_another_amount_is_never_confirmed(
    platform: PlatformClient, provider: str, kind: str
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    page = await waiting_buyer(buyer, booking, provider)
    other = OTHERS[kind]
    if provider == "stripe" and "currency" in other:
        other = {"currency": "usd"}
    await platform.provider.alter(booking, **other)
    await acts(platform, provider, page)
    await is_undone(platform, buyer, event, booking)


@pytest.mark.parametrize(("provider", "kind"), pairs("less", "more", of="changed reservations"))
async def test_a_reservation_that_changes_before_its_capture_is_never_confirmed(
    platform: PlatformClient, provider: str, kind: str
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("429", "capture", booking, times=1000, retry_after=5)
    page = await waiting_buyer(buyer, booking, provider)
    await acts(platform, provider, page)
    await eventually(lambda: platform.sold(event, "A-1-1"), within=60, every=0.02)
    await platform.provider.alter(booking, **OTHERS[kind])
    await platform.provider.clear_faults(booking)
    await is_undone(platform, buyer, event, booking)


async def test_an_exchange_is_undone_whose_difference_is_paid_with_another_amount(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "B-1-1")
    ticket = booking["tickets"][0]["id"]
    exchange = (await buyer.exchange(booking["id"], ticket, "A-1-1", method=CARD_WITH_3DS)).json()
    await platform.provider.alter(booking["id"], amount=999)
    await platform.provider.act(exchange["next_action"]["url"], "approve")

    saga = platform.exchange_saga(exchange["id"])
    await parks(saga)
    assert await platform.provider.kept(booking["id"]) == 4000
    await saga.execute_update("operate", "resolve")
    ended = await exchange_is(buyer, exchange, "failed")
    assert ended["failure"]["type"].endswith("exchange-failed")
    assert (await buyer.booking(booking["id"]))["tickets"] == booking["tickets"]
    assert await platform.seat(event, "A-1-1") == "available"


async def test_a_refund_of_another_amount_is_not_taken_for_done(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1")
    await platform.provider.will("processing", "refund", booking["id"])
    refund = await accepted(buyer, booking["id"])
    [pending] = await eventually(lambda: platform.provider.refunds(booking["id"]))
    await platform.provider.alter_refund(pending["id"], 4999)
    await platform.provider.decide(pending["id"], "succeeded")

    saga = platform.refund_saga(refund["id"])
    await saga.signal("provider_has_news")
    await parks(saga)
    assert [each["state"] for each in await buyer.refunds(booking["id"])] == ["needs_attention"]
    assert len(await platform.provider.refunds(booking["id"])) == 1

    await platform.provider.alter_refund(pending["id"], OWED)  # as the operator arranges it with the provider
    await saga.execute_update("operate", "retry")
    await becomes(buyer, booking["id"], "refunded")
    assert await platform.provider.kept(booking["id"]) == 0


async def test_late_money_of_another_amount_buys_no_seats_and_goes_back(
    platform: PlatformClient, settings: Settings, stack: Stack, stack_env: dict[str, str]
) -> None:
    late = await expired(platform, settings, "A-1-1")
    await platform.provider.alter(late.booking, amount=OWED - 1)
    await late.money_turns_up()
    saga = await late.workflow()
    await parks(saga)
    assert await late.kept() == 0
    assert await platform.seat(late.event, "A-1-1") == "available"
    assert await late.told() == "returned"  # while the saga still waits for an operator
    await eventually(lambda: parked_late_payments(stack))
    intent = saga.id.removeprefix("late-payment-")
    assert "accepted" in await seatwright(late_payment_app, stack_env, "operate", intent, "retry")
    assert await late.is_settled() == "returned"
    assert await late.buyer.status(late.booking) == "expired"


async def parked_late_payments(stack: Stack) -> float:
    """What the worker's gauge says."""
    async with http_client(f"http://127.0.0.1:{stack.ports['work-metrics']}") as metrics:
        text = (await metrics.get("/metrics/")).text
    found = re.search(r"^seatwright_late_payments_needing_attention (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0
