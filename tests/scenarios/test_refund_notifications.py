"""A provider's notification about a pending refund reaches the workflow that waits for it, and no other."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from adapters.payment.payu.signatures import HEADER
from cli.operate import refund_app
from config.settings import Settings
from domain.identity import Role
from sandbox.iyzico.signatures import sign_notification
from sandbox.payu.messages import signature as payu_signature
from tests.buyer import Buyer
from tests.command_line import seatwright
from tests.faults.scenarios import hold
from tests.platform_client import PlatformClient
from tests.provider_settings import iyzico_settings, payu_settings, webhook_secret
from tests.providers.checkouts import CHECKOUTS, Checkout, Visit
from tests.scale import sample
from tests.scenarios.any_seat import any_seat
from tests.scenarios.test_refunds import needs_attention
from tests.waiting import eventually
from tests.webhooks import message, post, rows, signature
from workflows.ids import refund_taken_back_workflow_id

SIGNALED = 26
TELLS = {
    "stripe": {"succeeded": "refund.updated", "failed": "refund.failed"},
    "iyzico": {"succeeded": "REFUND_RETRY_SUCCESS", "failed": "REFUND_RETRY_FAILURE"},
    "payu": {"succeeded": "FINALIZED", "failed": "CANCELED"},
}
"""The type of each provider's notification about the end of a refund."""
ENDS = [(checkout, outcome) for checkout in CHECKOUTS for outcome in ("succeeded", "failed")]


async def signals(platform: PlatformClient, refund: str) -> int:
    return len([e async for e in platform.refund_saga(refund).fetch_history_events() if e.event_type == SIGNALED])


async def left_pending(
    platform: PlatformClient, buyer: Buyer, checkout: Checkout, *, drop: float = 0
) -> tuple[str, str, str]:
    """A booking, its refund, and the provider's refund, pending so long that polls are rare."""
    event = await platform.event()
    booking = await hold(buyer, event)
    await Visit(platform, buyer, event, booking, checkout).pay()
    await buyer.ends_as(booking, "confirmed", within=60)
    await platform.provider.send(booking, drop=drop)
    await platform.provider.will("processing", "refund", booking, face=checkout.name)
    refund = (await buyer.refund(booking)).json()["id"]
    pending = await eventually(lambda: platform.provider.left_pending(booking, checkout.name))
    assert pending

    async def is_noted() -> bool:
        return rows(platform.settings, "SELECT state FROM refunds WHERE refund_id = %s", refund) == [("pending",)]

    async def is_told_all() -> bool:
        return all(each["due"] is None for each in await platform.provider.messages(booking))

    await eventually(is_noted)
    await eventually(is_told_all)
    return booking, refund, pending


async def news(platform: PlatformClient, checkout: Checkout, booking: str) -> tuple[bytes, dict[str, str]]:
    """A message about a refund as the provider sends it, with its signature."""
    settings, intent = platform.settings, (await platform.provider.intents(booking))[0]["id"]
    if checkout.name == "stripe":
        body = charge_refunded(intent)
        return body, signature(body, webhook_secret(settings))
    if checkout.name == "payu":
        body = orjson.dumps({"orderId": intent, "refund": {"refundId": "1", "status": "PENDING"}})
        return body, {HEADER: payu_signature(body, payu_settings(settings).second_key[0].get_secret_value())}
    notice = {
        "iyziEventType": "REFUND_RETRY_FAILURE",
        "paymentId": uuid4().int % 10**8,
        "paymentConversationId": f"{booking}:create:1",
        "status": "FAILURE",
    }
    return orjson.dumps(notice), {
        "X-IYZ-SIGNATURE-V3": sign_notification(iyzico_settings(settings).secret_key.get_secret_value(), notice),
    }


@pytest.mark.parametrize("checkout", sample(CHECKOUTS, 2, of="news of refunds"), ids=lambda checkout: checkout.name)
async def test_a_waiting_refund_queries_its_provider_on_a_notification(
    platform: PlatformClient, checkout: Checkout
) -> None:
    buyer = platform.new_buyer()
    booking, refund, pending = await left_pending(platform, buyer, checkout)
    body, headers = await news(platform, checkout, booking)
    heard = "SELECT count(*)::int FROM webhooks WHERE booking_id = %s AND course = 'refund'"
    # PayU also notifies of the refund's start, which counts if the refund is already recorded as pending.
    before = int(rows(platform.settings, heard, booking)[0][0])

    answer = await platform.http.post(f"/v1/webhooks/{checkout.name}", content=body, headers=headers)

    assert answer.status_code == 200, answer.text

    async def is_told() -> bool:  # a signal is in the history when the task that runs just now has ended
        return await signals(platform, refund) == before + 1

    await eventually(is_told)
    assert rows(platform.settings, heard, booking) == [(before + 1,)]
    assert await buyer.status(booking) == "refunding"  # whatever the message says

    await platform.provider.decide(pending, "succeeded", checkout.name)
    await buyer.ends_as(booking, "refunded", within=60)


@pytest.mark.parametrize(
    ("checkout", "outcome"), sample(ENDS, 2, of="ends of refunds"), ids=lambda each: getattr(each, "name", each)
)
async def test_each_providers_refund_notification_is_understood(
    platform: PlatformClient, checkout: Checkout, outcome: str
) -> None:
    buyer = platform.new_buyer()
    booking, _, pending = await left_pending(platform, buyer, checkout)
    await platform.provider.decide(pending, outcome, checkout.name)

    async def is_told() -> bool:
        told = {each["type"].rpartition(":")[2]: each["status"] for each in await platform.provider.messages(booking)}
        return told.get(TELLS[checkout.name][outcome]) == 200

    await eventually(is_told)
    await buyer.ends_as(booking, "refunded", within=60)


@pytest.mark.thorough  # test_refunds.py shows that the provider is asked about a pending refund again and again
async def test_a_lost_refund_notification_only_costs_time(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking, refund, pending = await left_pending(platform, buyer, CHECKOUTS[0], drop=1)
    await platform.provider.decide(pending, "failed")
    await buyer.ends_as(booking, "refunded", within=60)
    assert await signals(platform, refund) == 0


_TRIES = "SELECT state FROM refunds WHERE refund_id = %s"


@pytest.mark.parametrize(
    "has_exchanged",
    [
        pytest.param(False, marks=pytest.mark.thorough, id="as it was sold"),  # as in the test of a pending repetition
        pytest.param(True, id="exchanged before"),
    ],
)
async def test_a_succeeded_refund_that_fails_later_is_reversed_and_repeated(
    platform: PlatformClient, has_exchanged: bool
) -> None:
    buyer = platform.new_buyer()
    bought = await buyer.bought(await platform.event(), "B-1-1")
    booking, paid = bought["id"], 4000
    if has_exchanged:
        assert (await buyer.exchange(booking, bought["tickets"][0]["id"], "A-1-1")).status_code == 200
        paid = 5000
    refund = (await buyer.refund(booking)).json()["id"]

    async def all_has_gone_back() -> bool:
        return await platform.provider.kept(booking) == 0 and await buyer.status(booking) == "refunded"

    await eventually(all_has_gone_back)
    failing = (await platform.provider.refunds(booking))[0]
    await platform.provider.decide(failing["id"], "failed")

    async def is_made_again() -> bool:
        tries = sorted(state for (state,) in rows(platform.settings, _TRIES, refund))
        return tries == ["failed"] + ["succeeded"] * (1 + has_exchanged)

    await eventually(is_made_again, within=60)
    assert await platform.provider.kept(booking) == 0
    booked = """
        SELECT sum(amount) FILTER (WHERE account = 'refunds')::int, count(*) FILTER (WHERE kind = 'refund_failed')
        FROM ledger_transactions JOIN ledger_entries ON transaction_id = id WHERE booking_id = %s AND kind <> 'fee'
    """
    assert rows(platform.settings, booked, booking) == [(paid, 2)]
    closed = "SELECT DISTINCT state FROM attempts WHERE booking_id = %s"
    assert rows(platform.settings, closed, booking) == [("refunded",)]


async def fails_after_all(platform: PlatformClient, buyer: Buyer, booking: str, then: str, times: int = 1) -> str:
    """Let a succeeded refund fail; the provider applies `then` to its repetition."""
    refund = (await buyer.refund(booking)).json()["id"]
    await buyer.ends_as(booking, "refunded", within=60)
    [given] = await platform.provider.refunds(booking)
    await platform.provider.will(then, "refund", booking, times=times)
    await platform.provider.decide(given["id"], "failed")
    return str(refund)


async def is_shown_as(platform: PlatformClient, buyer: Buyer, booking: dict[str, Any], *shown: Any) -> None:
    """The states of refund and booking, and the refunded amounts of the booking and the organizer's figures."""
    support = platform.new_buyer(Role.SUPPORT)

    async def is_shown() -> bool:
        now = await buyer.booking(booking["id"])
        [refund] = await buyer.refunds(booking["id"])
        sales = (await support.get(f"/v1/events/{booking['event_id']}/sales")).json()
        assert (refund["state"], now["status"], now["refunded"], sales["refunded"]) == shown
        return True

    await eventually(is_shown, within=60)


async def test_a_repeated_refund_stays_pending_until_it_has_succeeded(
    platform: PlatformClient,
) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.bought(await platform.event(), "B-1-1")
    await fails_after_all(platform, buyer, booking["id"], "processing")

    await is_shown_as(platform, buyer, booking, "pending", "refunding", 0, 0)
    pending = await eventually(lambda: platform.provider.left_pending(booking["id"]))
    assert pending
    await platform.provider.decide(pending, "succeeded")

    await is_shown_as(platform, buyer, booking, "succeeded", "refunded", 4000, 4000)
    events = "SELECT type FROM domain_events WHERE aggregate_id = %s AND type LIKE %s ORDER BY sequence"
    told = rows(platform.settings, events, booking["id"], "booking.refund%", of="reservation")
    assert [type for (type,) in told] == [
        "booking.refunding", "booking.refunded", "booking.refund_taken_back", "booking.refunded",
    ]  # fmt: skip


async def test_a_refund_that_cannot_be_made_again_needs_attention_and_is_shown_so(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.bought(await platform.event(), "B-1-1")
    refund = await fails_after_all(platform, buyer, booking["id"], "decline", times=1000)

    await is_shown_as(platform, buyer, booking, "needs_attention", "refunding", 0, 0)
    await platform.provider.clear_faults(booking["id"])
    await platform.refund_saga(refund).execute_update("operate", "retry")

    await is_shown_as(platform, buyer, booking, "succeeded", "refunded", 4000, 4000)
    assert await platform.provider.kept(booking["id"]) == 0


@pytest.mark.parametrize("action", sample(["resolve", "retry"], 1, of="an operator's answers to a part that failed"))
async def test_a_part_that_the_dashboard_gave_is_not_owed_again_by_late_news(
    platform: PlatformClient, action: str
) -> None:
    buyer = platform.new_buyer()
    bought = await buyer.bought(await platform.event(), "B-1-1")
    id = bought["id"]
    assert (await buyer.exchange(id, bought["tickets"][0]["id"], "A-1-1")).status_code == 200
    refund = (await buyer.refund(id)).json()["id"]
    await buyer.ends_as(id, "refunded", within=60)
    [part] = [each["id"] for each in await platform.provider.refunds(id) if each["amount"] == 1000]
    await platform.provider.will("decline", "refund", id, times=1000)
    await platform.provider.decide(part, "failed")
    await eventually(lambda: needs_attention(buyer, id), within=60)
    await platform.provider.clear_faults(id)
    [intent] = [each["id"] for each in await platform.provider.intents(id) if each["amount"] == 1000]
    await platform.provider.as_stripe("/v1/refunds", {"payment_intent": intent}, platform.settings)
    await eventually(lambda: rows(platform.settings, _BY_PROVIDER, id) == [(1000,)], within=30)
    await platform.refund_saga(refund).execute_update("operate", action)
    await buyer.ends_as(id, "refunded", within=60)

    await post(platform.http, platform.settings, message(intent, "refund.failed"))

    check = platform.temporal.get_workflow_handle(refund_taken_back_workflow_id(UUID(refund)))
    await eventually(lambda: has_ended(check), within=60)
    events = "SELECT count(*)::int FROM domain_events WHERE aggregate_id = %s AND type = 'booking.refund_taken_back'"
    assert rows(platform.settings, events, id, of="reservation") == [(1,)]
    assert await buyer.status(id) == "refunded"


async def test_an_operator_asks_whether_a_refund_has_failed_whose_message_was_lost(
    platform: PlatformClient, stack_env: dict[str, str]
) -> None:
    buyer = platform.new_buyer()
    bought = await buyer.bought(await platform.event(), "B-1-1", "B-1-2")
    id, kept_ticket = bought["id"], bought["tickets"][1]
    refund = (await buyer.refund(id, bought["tickets"][0]["id"])).json()["id"]
    await buyer.ends_as(id, "partially_refunded", within=60)
    await platform.provider.send(id, drop=1)
    [given] = await platform.provider.refunds(id)
    await platform.provider.decide(given["id"], "failed")
    assert await platform.provider.kept(id) == 8000

    printed = await seatwright(refund_app, stack_env, "check", refund)

    assert printed == f"checked: refund {refund}: it had failed, and is made again\n"
    await buyer.ends_as(id, "partially_refunded", within=60)
    now = await buyer.booking(id)
    assert (now["refunded"], now["tickets"]) == (4000, [kept_ticket])
    assert await platform.provider.kept(id) == 4000
    printed = await seatwright(refund_app, stack_env, "check", refund)
    assert printed == f"checked: refund {refund}: nothing of it has failed\n"


async def has_ended(workflow: WorkflowHandle[Any, Any]) -> bool:
    return (await workflow.describe()).status is not WorkflowExecutionStatus.RUNNING


_BY_PROVIDER = "SELECT amount FROM refunds WHERE booking_id = %s AND code = 'by_provider'"


def charge_refunded(intent: str) -> bytes:
    about = {"object": "charge", "id": "ch_1", "payment_intent": intent}
    return orjson.dumps({"id": f"evt_{uuid4().hex}", "type": "charge.refunded", "data": {"object": about}})


async def test_a_notification_about_an_unawaited_refund_is_stored_and_changes_nothing(
    platform: PlatformClient, settings: Settings
) -> None:
    """Also for a refund made in the provider's dashboard: the audit finds it; no notification is trusted."""
    buyer = platform.new_buyer()
    booking = (await buyer.bought(*await any_seat(platform)))["id"]
    [intent] = await platform.provider.intents(booking)
    body = charge_refunded(intent["id"])
    for _ in range(2):
        assert (await post(platform.http, settings, body)).status_code == 200
    kept = rows(settings, "SELECT course FROM webhooks WHERE event_id = %s", orjson.loads(body)["id"])
    assert kept == [("ignored",)]
    assert await buyer.status(booking) == "confirmed"
