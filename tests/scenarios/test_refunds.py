"""Refunded tickets are void at once, paid back once, and refunded only after the provider's confirmation."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest

from domain.identity import Role
from tests.buyer import Buyer
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.any_seat import any_seat
from tests.waiting import eventually
from tests.webhooks import kept, message, post, rows


async def accepted(buyer: Buyer, booking: str, *tickets: str, **more: Any) -> dict[str, Any]:
    answer = await buyer.refund(booking, *tickets, **more)
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def becomes(buyer: Buyer, booking: str, status: str, within: float = 30) -> None:
    """Wait until the booking has this state."""

    async def there() -> bool:
        now = await buyer.status(booking)
        assert now in (status, "refunding"), now
        return now == status

    await eventually(there, within=within)


async def test_a_whole_refund_voids_the_tickets_frees_the_places_and_returns_the_money(
    platform: PlatformClient,
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", quantities={"Standing": 2})

    refund = await accepted(buyer, booking["id"])

    assert (refund["amount"], refund["fee"], refund["cause"]) == (11000, 0, "buyer")
    assert sorted(refund["tickets"]) == sorted(ticket["id"] for ticket in booking["tickets"])
    assert await platform.seat(event, "A-1-1") == "available"
    assert await platform.free_places(event, "Standing") == 100
    await becomes(buyer, booking["id"], "refunded")
    now = await buyer.booking(booking["id"])
    assert (now["refunded"], now["tickets"]) == (11000, [])
    assert [(each["state"], each["amount"]) for each in await buyer.refunds(booking["id"])] == [("succeeded", 11000)]
    assert await platform.provider.kept(booking["id"]) == 0
    await platform.new_buyer().bought(event, "A-1-1", quantities={"Standing": 2})


async def test_tickets_are_refunded_one_by_one_and_the_others_stay_valid(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", "B-1-1", quantities={"Standing": 2})
    by_place = {ticket["seat"] or ticket["section"]: ticket["id"] for ticket in booking["tickets"]}

    await accepted(buyer, booking["id"], by_place["B-1-1"], by_place["Standing"])

    await becomes(buyer, booking["id"], "partially_refunded")
    left = await buyer.booking(booking["id"])
    assert left["refunded"] == 7000
    assert {ticket["seat"] or ticket["section"] for ticket in left["tickets"]} == {"A-1-1", "Standing"}
    assert await platform.provider.kept(booking["id"]) == 8000
    assert await platform.seat(event, "A-1-1") == "sold"
    assert await platform.seat(event, "B-1-1") == "available"
    assert await platform.free_places(event, "Standing") == 99
    await platform.assert_audit_is_clean()

    await accepted(buyer, booking["id"])
    await becomes(buyer, booking["id"], "refunded")
    assert await platform.provider.kept(booking["id"]) == 0


async def test_the_places_of_a_part_can_be_sold_again_to_the_last(platform: PlatformClient) -> None:
    event, buyer = await platform.event(standing=4), platform.new_buyer()
    booking = await buyer.bought(event, quantities={"Standing": 4})
    await accepted(buyer, booking["id"], booking["tickets"][0]["id"], booking["tickets"][1]["id"])
    await platform.new_buyer().bought(event, quantities={"Standing": 2})
    assert (await platform.new_buyer().hold(event, quantities={"Standing": 1})).status_code == 409
    await becomes(buyer, booking["id"], "partially_refunded")


async def test_the_policys_fee_is_kept_ticket_by_ticket_and_the_booking_owes_it(platform: PlatformClient) -> None:
    policy = {"until_hours": 24, "fee_percent": 10, "fee_fixed": 150}
    event, buyer = await platform.event(refund_policy=policy), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", "B-1-1")
    first, second = (ticket["id"] for ticket in booking["tickets"])
    refund = await accepted(buyer, booking["id"], first)
    assert (refund["amount"], refund["fee"]) == (5000 - 650, 650)
    await becomes(buyer, booking["id"], "partially_refunded")
    refund = await accepted(buyer, booking["id"], second)
    assert (refund["amount"], refund["fee"]) == (4000 - 550, 550)
    await becomes(buyer, booking["id"], "refunded")
    assert await platform.provider.kept(booking["id"]) == 650 + 550


async def test_free_places_are_refunded_without_a_provider(platform: PlatformClient) -> None:
    event, buyer = await platform.event(standing_price=0), platform.new_buyer()
    booking = await buyer.bought(event, quantities={"Standing": 1})
    await accepted(buyer, booking["id"])
    await becomes(buyer, booking["id"], "refunded")
    assert await platform.free_places(event, "Standing") == 100


@pytest.mark.parametrize("policy", sample([{"until_hours": None}, {"until_hours": 48}], 1, of="closed refund policies"))
async def test_outside_the_policy_only_staff_can_refund_and_only_by_waiving_it(
    platform: PlatformClient, policy: dict[str, int | None]
) -> None:
    event = await platform.event(refund_policy=policy, starts_in=timedelta(hours=47))
    buyer, support = platform.new_buyer(), platform.new_buyer(Role.SUPPORT)
    booking = (await buyer.bought(event, "A-1-1"))["id"]

    refused = await buyer.refund(booking)
    assert (refused.status_code, refused.json()["type"].rsplit("/")[-1]) == (409, "refund-not-allowed")
    assert (await buyer.refund(booking, waive_policy=True)).status_code == 403
    assert (await support.refund(booking)).status_code == 409
    assert await buyer.status(booking) == "confirmed"

    refund = await accepted(support, booking, waive_policy=True, reason="The hall was too loud.")
    assert (refund["cause"], refund["amount"]) == ("staff", 5000)
    await becomes(buyer, booking, "refunded")


async def test_a_double_click_is_one_refund_and_its_key_refuses_another_body(platform: PlatformClient) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    ticket, other = (each["id"] for each in booking["tickets"])

    answers = await asyncio.gather(*(buyer.refund(booking["id"], ticket, key=key) for _ in range(8)))

    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(202, answers[0].json()["id"])}
    await becomes(buyer, booking["id"], "partially_refunded")
    again = await buyer.refund(booking["id"], ticket, key=key)
    assert (again.status_code, again.json()["state"]) == (202, "succeeded")
    reused = await buyer.refund(booking["id"], other, key=key)
    assert reused.json()["type"].endswith("/idempotency-key-reused")
    assert len(await platform.provider.refunds(booking["id"])) == 1


async def test_of_many_refunds_of_one_ticket_exactly_one_is_accepted(
    platform: PlatformClient,
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    ticket = booking["tickets"][0]["id"]

    answers = await asyncio.gather(*(buyer.refund(booking["id"], ticket) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [202] + 7 * [409]
    await becomes(buyer, booking["id"], "partially_refunded")
    late = await buyer.refund(booking["id"], ticket)
    assert (late.status_code, late.json()["tickets"]) == (409, [ticket])
    assert await platform.provider.kept(booking["id"]) == 5000


async def test_a_refused_refund_is_not_remembered_for_its_key(platform: PlatformClient) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.bought(event, "A-1-1", "A-1-2")
    first, second = (each["id"] for each in booking["tickets"])
    await platform.provider.will("processing", "refund", booking["id"])
    await accepted(buyer, booking["id"], first)
    refused = await buyer.refund(booking["id"], second, key=key)
    assert (refused.status_code, refused.json()["type"].rsplit("/")[-1]) == (409, "refund-in-progress")

    [pending] = await eventually(lambda: platform.provider.refunds(booking["id"]))
    await platform.provider.decide(pending["id"], "succeeded")
    await becomes(buyer, booking["id"], "partially_refunded")
    assert (await buyer.refund(booking["id"], second, key=key)).status_code == 202
    await becomes(buyer, booking["id"], "refunded")


async def test_an_impossible_refund_is_refused_and_changes_nothing(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    held, paid = await buyer.held(event, "A-1-1"), (await buyer.bought(event, "A-1-2"))["id"]
    assert (await buyer.refund(held)).json()["type"].endswith("/wrong-state")
    assert (await platform.new_buyer().refund(paid)).status_code == 404
    unknown = await buyer.refund(paid, str(uuid4()))
    assert (unknown.status_code, unknown.json()["field"]) == (422, "tickets")
    for body in ({}, {"reason": ""}, {"reason": "x", "amount": 1}, {"reason": "my card 4242 4242 4242 4242"}):
        answer = await buyer.post(f"/v1/bookings/{paid}/refund", body, key=str(uuid4()))
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"].startswith("body.")
    assert (await buyer.booking(paid))["status"] == "confirmed"
    assert await buyer.refunds(paid) == []


async def test_pending_at_the_provider_is_not_refunded_until_it_has_succeeded(platform: PlatformClient) -> None:
    (event, seat), buyer = await any_seat(platform), platform.new_buyer()
    booking = (await buyer.bought(event, seat))["id"]
    await platform.provider.will("processing", "refund", booking)
    await accepted(buyer, booking)
    [pending] = await eventually(lambda: platform.provider.refunds(booking))

    async def looked_again() -> bool:
        return len(await platform.provider.calls(booking, "list")) > 2

    await eventually(looked_again)
    now = await buyer.booking(booking)
    assert (now["status"], now["refunded"], now["tickets"]) == ("refunding", 0, [])
    assert await platform.seat(event, seat) == "available"

    await platform.provider.decide(pending["id"], "succeeded")
    await becomes(buyer, booking, "refunded")


async def test_a_refund_that_was_pending_and_failed_is_tried_again_with_a_new_key(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = (await buyer.bought(*await any_seat(platform)))["id"]
    await platform.provider.will("processing", "refund", booking)
    refund = await accepted(buyer, booking)
    [pending] = await eventually(lambda: platform.provider.refunds(booking))
    await platform.provider.decide(pending["id"], "failed")

    await becomes(buyer, booking, "refunded")

    keys = [call["key"] for call in await platform.provider.calls(booking, "refund")]
    assert keys == [f"{booking}:refund:{refund['id']}", f"{booking}:refund:{refund['id']}:2"]
    assert [each["status"] for each in await platform.provider.refunds(booking)] == ["succeeded", "failed"]
    assert await platform.provider.kept(booking) == 0


async def needs_attention(buyer: Buyer, booking: str) -> bool:
    return bool((await buyer.refunds(booking))[-1]["state"] == "needs_attention")


async def is_seen_to_wait(platform: PlatformClient, refund: str) -> None:
    """Wait until operators find the refund's workflow, a moment after its row says that it needs attention."""

    async def is_shown() -> bool:
        found = await platform.refund_saga(refund).describe()
        shown = {pair.key.name: pair.value for pair in found.typed_search_attributes}
        return bool(shown["SeatwrightStatus"] == "needs_attention")

    await eventually(is_shown)


@pytest.mark.thorough  # test_refund_notifications.py retries one, and the next test looks for it in Temporal
async def test_a_refund_that_keeps_failing_waits_for_an_operator_to_retry_it(
    platform: PlatformClient,
) -> None:
    buyer = platform.new_buyer()
    booking = (await buyer.bought(*await any_seat(platform)))["id"]
    await platform.provider.will("decline", "refund", booking, times=1000)
    refund = await accepted(buyer, booking)
    await eventually(lambda: needs_attention(buyer, booking), within=40)
    assert await buyer.status(booking) == "refunding"
    await is_seen_to_wait(platform, refund["id"])

    await platform.provider.clear_faults(booking)
    await platform.refund_saga(refund["id"]).execute_update("operate", "retry")

    await becomes(buyer, booking, "refunded")
    assert await platform.provider.kept(booking) == 0


async def test_a_refund_that_an_operator_has_made_by_hand_is_settled(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = (await buyer.bought(*await any_seat(platform)))["id"]
    await platform.provider.will("decline", "refund", booking, times=3)
    refund = await accepted(buyer, booking)
    await eventually(lambda: needs_attention(buyer, booking), within=40)
    await is_seen_to_wait(platform, refund["id"])
    await platform.refund_by_hand(booking)

    await platform.refund_saga(refund["id"]).execute_update("operate", "resolve")

    await becomes(buyer, booking, "refunded")
    booked = "SELECT kind FROM ledger_transactions WHERE booking_id = %s AND kind <> 'fee' ORDER BY id"
    assert rows(platform.settings, booked, booking) == [("authorized",), ("captured",), ("refunded",)]
    tries = rows(platform.settings, "SELECT state, code FROM refunds WHERE booking_id = %s ORDER BY number", booking)
    # "by_provider" where the provider's webhook is faster than the operator.
    assert [code for state, code in tries if state == "succeeded"] in (["by_hand"], ["by_provider"])


async def test_a_refund_paid_elsewhere_is_not_repeated_by_a_late_notification(
    platform: PlatformClient,
) -> None:
    buyer = platform.new_buyer()
    booking = (await buyer.bought(*await any_seat(platform)))["id"]
    await platform.provider.will("decline", "refund", booking, times=3)
    refund = await accepted(buyer, booking)
    await eventually(lambda: needs_attention(buyer, booking), within=40)
    await platform.refund_saga(refund["id"]).execute_update("operate", "resolve")
    await becomes(buyer, booking, "refunded")
    [intent] = await platform.provider.intents(booking)
    late = message(intent["id"], "payment_intent.succeeded")

    assert (await post(platform.http, platform.settings, late)).status_code == 200

    assert kept(platform.settings, orjson.loads(late)["id"]) == [(booking, "ignored")]
    watched = "SELECT watched FROM attempts WHERE booking_id = %s"
    assert rows(platform.settings, watched, booking) == [(False,)]
    assert await platform.provider.kept(booking) == 5000  # as a bank transfer leaves it
    await platform.refund_by_hand(booking)  # so that the audit finds nothing


async def test_a_cancel_in_the_temporal_ui_does_not_stop_a_refund(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = (await buyer.bought(*await any_seat(platform)))["id"]
    await platform.provider.will("processing", "refund", booking)
    refund = await accepted(buyer, booking)
    [pending] = await eventually(lambda: platform.provider.refunds(booking))
    await platform.refund_saga(refund["id"]).cancel()
    await platform.provider.decide(pending["id"], "succeeded")
    await becomes(buyer, booking, "refunded")


@pytest.mark.thorough  # test_refund_notifications.py reads the figures, and each audit counts the sales
async def test_the_organizers_figures_shrink_by_the_refund(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1", "B-1-1")
    await eventually(lambda: platform.sales(event), within=30)
    await accepted(buyer, booking["id"], booking["tickets"][0]["id"])

    async def subtracted() -> bool:
        return await platform.sales(event) == (1, 1, 4000)

    await eventually(subtracted, within=30)
    await accepted(buyer, booking["id"])

    async def gone() -> bool:
        return await platform.sales(event) == (0, 0, 0)

    await eventually(gone, within=30)
