"""The price difference of an exchange is paid once or not at all, whatever the provider does."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from config.settings import Settings
from tests.buyer import CARD_WITH_3DS, Buyer
from tests.http_client import http_client
from tests.iyzico_buyer import APPROVED, pay_with
from tests.payu_buyer import PayUBuyer
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.test_event_cancellation import finished
from tests.scenarios.test_exchange import becomes_refunded, bought, exchanged, refused_as, sits, ticket_of
from tests.waiting import eventually
from tests.webhooks import rows


async def waiting(
    buyer: Buyer, booking: dict[str, Any], old: str, new: str, *, key: str | None = None, **how: Any
) -> dict[str, Any]:
    """An exchange with required action at the provider."""
    key = key or str(uuid4())
    answer = await buyer.exchange(booking["id"], ticket_of(booking, old), new, key=key, **how)
    assert (answer.status_code, answer.json()["state"]) == (202, "action_required"), answer.text
    body: dict[str, Any] = answer.json()
    return body


async def exchange_is(buyer: Buyer, exchange: dict[str, Any], state: str, within: float = 40) -> dict[str, Any]:
    async def there() -> dict[str, Any]:
        answer = await buyer.get(f"/v1/bookings/{exchange['booking_id']}/exchanges/{exchange['id']}")
        now: dict[str, Any] = answer.json()
        assert now["state"] == state, now
        return now

    return await eventually(there, within=within)


async def test_a_buyer_who_approves_gets_the_new_seat_also_by_the_same_key(
    platform: PlatformClient,
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    key = str(uuid4())
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", key=key, method=CARD_WITH_3DS)
    now, seat, again, refund, other, _ = await asyncio.gather(  # at once: the buyer has to act within the window
        buyer.booking(booking["id"]),
        platform.seat(event, "A-1-1"),
        waiting(buyer, booking, "B-1-1", "A-1-1", key=key, method=CARD_WITH_3DS),
        buyer.refund(booking["id"]),
        buyer.exchange(booking["id"], ticket_of(booking, "B-1-1"), "A-1-2"),
        platform.assert_audit_is_clean(),
    )
    await platform.provider.act(exchange["next_action"]["url"], "approve")

    assert now["tickets"] == booking["tickets"]
    assert (seat, again) == ("held", exchange)
    assert refused_as(refund) == refused_as(other) == (409, "exchange-in-progress")
    await exchange_is(buyer, exchange, "completed")
    await sits(platform, buyer, event, booking, on="A-1-1", not_on="B-1-1")
    assert await platform.provider.kept(booking["id"]) == 5000
    told = await buyer.exchange(booking["id"], ticket_of(booking, "B-1-1"), "A-1-1", key=key, method=CARD_WITH_3DS)
    assert (told.status_code, told.json()["state"]) == (200, "completed")
    await platform.assert_audit_is_clean()


async def test_a_webhook_alone_wakes_the_exchange(platform: PlatformClient, settings: Settings) -> None:
    _, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS)
    asked = len(await platform.provider.calls(booking["id"], "retrieve"))

    async def has_asked_again() -> bool:
        return len(await platform.provider.calls(booking["id"], "retrieve")) > asked

    await eventually(has_asked_again, every=0.05)  # the next time is 4 s later: the webhook comes before
    await platform.provider.act(exchange["next_action"]["url"], "approve")
    await exchange_is(buyer, exchange, "completed")
    courses = rows(settings, "SELECT course FROM webhooks WHERE booking_id = %s", booking["id"])
    assert ("saga",) in courses
    steps = [event async for event in platform.exchange_saga(exchange["id"]).fetch_history_events()]
    assert any(step.HasField("workflow_execution_signaled_event_attributes") for step in steps)


async def test_a_buyer_who_refuses_at_the_bank_keeps_the_old_seat(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    key = str(uuid4())
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", key=key, method=CARD_WITH_3DS)
    await platform.provider.act(exchange["next_action"]["url"], "fail")
    await exchange_is(buyer, exchange, "failed")
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")
    told = await buyer.exchange(booking["id"], ticket_of(booking, "B-1-1"), "A-1-1", key=key, method=CARD_WITH_3DS)
    assert refused_as(told) == (402, "payment-declined")
    assert await platform.provider.kept(booking["id"]) == 4000


async def test_a_buyer_who_abandons_an_exchange_pays_nothing_and_may_start_another(
    platform: PlatformClient,
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS)
    path = f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}"
    assert (await platform.new_buyer().delete(path)).status_code == 404

    abandoned = await buyer.delete(path)

    assert (abandoned.status_code, abandoned.json()["state"]) == (200, "failed"), abandoned.text
    assert (await buyer.delete(path)).status_code == 200
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")
    assert await platform.provider.kept(booking["id"]) == 4000
    done = await exchanged(buyer, booking, "B-1-1", "A-1-1")
    assert refused_as(await buyer.delete(f"/v1/bookings/{booking['id']}/exchanges/{done['id']}"))[0] == 409


@pytest.mark.thorough
async def test_an_exchange_that_is_not_paid_in_time_ends_and_frees_the_new_seat(
    platform: PlatformClient,
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS)
    ended = await exchange_is(buyer, exchange, "failed", within=60)
    assert ended["failure"]["type"] == "payment-too-late"
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")


async def test_late_money_of_an_abandoned_exchange_is_refunded(platform: PlatformClient, settings: Settings) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    await platform.provider.will("processing", "confirm", booking["id"])
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1")
    assert (await buyer.delete(f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}")).status_code == 200

    await platform.provider.settle(booking["id"])

    told = "SELECT data ->> 'settlement' FROM domain_events WHERE aggregate_id = %s AND type = 'payment.late_settled'"
    assert await eventually(lambda: rows(settings, told, booking["id"]), within=60) == [("returned",)]
    assert await platform.provider.kept(booking["id"]) == 4000
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")


async def test_the_difference_is_paid_on_iyzico_s_page(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=None, provider="iyzico")
    page = await asyncio.to_thread(pay_with, exchange["next_action"]["url"], APPROVED)
    assert page.back_to
    async with http_client() as browser:
        assert (await browser.post(page.back_to, data={"token": page.token})).status_code == 200
    await exchange_is(buyer, exchange, "completed")
    await sits(platform, buyer, event, booking, on="A-1-1", not_on="B-1-1")
    assert (await buyer.refund(booking["id"])).status_code == 202
    await becomes_refunded(buyer, booking["id"])
    assert await platform.provider.kept(booking["id"]) == 0


async def test_the_difference_is_paid_on_payus_page(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=None, provider="payu")
    page = PayUBuyer(exchange["next_action"]["url"])
    await asyncio.to_thread(page.pay, "approved")
    assert (await platform.http.get(page.at)).status_code == 200
    await exchange_is(buyer, exchange, "completed")
    await sits(platform, buyer, event, booking, on="A-1-1", not_on="B-1-1")
    assert (await buyer.refund(booking["id"])).status_code == 202
    await becomes_refunded(buyer, booking["id"])
    assert await platform.provider.kept(booking["id"]) == 0


CHARGING = [
    ("create", "500_saved"),
    ("confirm", "timeout_after"),
    ("capture", "timeout_after"),
    ("capture", "500_before"),
]


@pytest.mark.parametrize(("operation", "fault"), sample(CHARGING, 2, of="the charge of a difference"))
async def test_after_a_provider_fault_the_difference_is_charged_once(
    platform: PlatformClient, operation: str, fault: str
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    await platform.provider.will(fault, operation, booking["id"])
    await exchanged(buyer, booking, "B-1-1", "A-1-1")
    await sits(platform, buyer, event, booking, on="A-1-1", not_on="B-1-1")
    assert await platform.provider.kept(booking["id"]) == 5000


@pytest.mark.parametrize("fault", sample(["500_saved", "timeout_after"], 1, of="the refund of a difference"))
async def test_after_a_provider_fault_the_difference_is_refunded_once(platform: PlatformClient, fault: str) -> None:
    _, buyer, booking = await bought(platform, "A-1-1")
    await platform.provider.will(fault, "refund", booking["id"], delay_seconds=3)
    await exchanged(buyer, booking, "A-1-1", "B-1-1", method=None)

    async def is_back() -> bool:
        now = await buyer.booking(booking["id"])
        return (now["status"], now["refunded"]) == ("confirmed", 1000)

    await eventually(is_back, within=60)
    assert [each["status"] for each in await platform.provider.refunds(booking["id"])] == ["succeeded"]


async def test_a_provider_that_stays_away_leaves_the_old_seat_and_takes_nothing(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    await platform.provider.will("500_before", "create", booking["id"], times=4)
    answer = await buyer.exchange(booking["id"], ticket_of(booking, "B-1-1"), "A-1-1")
    assert refused_as(answer) == (409, "exchange-failed")
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")


async def test_a_cancelled_event_ends_a_waiting_exchange_and_refunds_the_booking(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS)

    await platform.cancel(event)

    ended = await exchange_is(buyer, exchange, "failed")
    assert ended["failure"]["type"] == "event-not-on-sale"
    asked = [event async for event in platform.exchange_saga(exchange["id"]).fetch_history_events()]
    names = [each.workflow_execution_signaled_event_attributes.signal_name for each in asked]
    assert "event_cancelled" in names  # before its window has closed
    assert (await finished(platform, event))["refunded"] == 1
    assert (await buyer.booking(booking["id"]))["status"] == "refunded"
    assert await platform.provider.kept(booking["id"]) == 0


async def test_an_exchange_that_waits_for_an_operator_is_reported_and_refunded_later(
    platform: PlatformClient,
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS)
    await platform.provider.will("500_before", "cancel", booking["id"], times=1000)
    await platform.cancel(event)

    report = await finished(platform, event)

    parked = {"refund_id": None, "exchange_id": exchange["id"], "booking_id": booking["id"], "amount": 1000}
    assert (report["refunded"], report["failed"], report["blocked"]) == (0, 1, 1)
    assert report["stranded"] == [parked]
    assert [each["needs_attention"] for each in await buyer.exchanges(booking["id"])] == [True]
    await platform.provider.clear_faults(booking["id"])
    await platform.exchange_saga(exchange["id"]).execute_update("operate", "retry")
    await exchange_is(buyer, exchange, "failed")
    await buyer.ends_as(booking["id"], "refunded", within=120)
    assert await platform.provider.kept(booking["id"]) == 0


@pytest.mark.thorough
async def test_an_undo_that_keeps_failing_asks_for_an_operator(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS)
    await platform.provider.will("500_before", "cancel", booking["id"], times=1000)
    abandoned = asyncio.create_task(
        buyer.at(platform.hasty).delete(f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}")
    )

    async def is_parked() -> bool:
        return bool((await buyer.exchanges(booking["id"]))[0]["needs_attention"])

    await eventually(is_parked, within=60)
    await platform.provider.clear_faults(booking["id"])
    await platform.exchange_saga(exchange["id"]).execute_update("operate", "retry")

    await exchange_is(buyer, exchange, "failed")
    assert (await abandoned).status_code in (200, 503)
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")
    assert not await is_parked()
