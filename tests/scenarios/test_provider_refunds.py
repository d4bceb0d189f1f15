"""Money that the provider gives back without our request counts, and what is left goes back to the buyer.

How a test leaves its booking is audited at the module's end, as everywhere; an audit of its own is for a state before.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from config.settings import secret
from domain.identity import Role
from tests.buyer import Buyer
from tests.conftest import TEST_SETTINGS
from tests.http_client import unless_unavailable
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.any_seat import any_seat
from tests.scenarios.test_exchange import bought
from tests.scenarios.test_exchange_payments import exchange_is
from tests.scenarios.test_refunds import accepted, becomes, needs_attention
from tests.waiting import eventually
from tests.webhooks import rows

ATTEMPTS = int(TEST_SETTINGS["SEATWRIGHT_COMPENSATION_ATTEMPTS"])


async def bought_one(platform: PlatformClient) -> tuple[Buyer, dict[str, Any]]:
    """A buyer, and a booking of one seat for 5000."""
    buyer = platform.new_buyer()
    return buyer, await buyer.bought(*await any_seat(platform))


async def learned(buyer: Buyer, booking: str, refunded: int) -> None:
    async def counted() -> bool:
        return bool((await buyer.booking(booking))["refunded"] == refunded)

    await eventually(counted, within=30)


async def refunded_in_its_dashboard(platform: PlatformClient, booking: str, amount: int, *, drop: float) -> None:
    """Refund money at the provider; with `drop` 1 its webhooks are lost."""
    await platform.provider.send(booking, drop=drop)
    await platform.refund_by_hand(booking, amount=amount)


async def exchange_undone_by_hand(platform: PlatformClient, buyer: Buyer, booking: dict[str, Any]) -> str:
    """An exchange that took 1000 and cannot return it; an operator gave that back in the dashboard."""
    id, ticket, key = booking["id"], booking["tickets"][0]["id"], str(uuid4())
    await platform.provider.will("500_after", "capture", id)
    await platform.provider.will("500_before", "retrieve", id, times=ATTEMPTS - 1)
    await platform.provider.will("500_before", "refund", id, times=1000)
    asking = unless_unavailable(lambda: buyer.at(platform.hasty).exchange(id, ticket, "A-1-1", key=key))
    asked = asyncio.create_task(asking)

    async def parked() -> str | None:
        exchanges = await buyer.exchanges(id)
        return str(exchanges[0]["id"]) if exchanges and exchanges[0]["needs_attention"] else None

    exchange = str(await eventually(parked, within=60))
    await asked
    await platform.provider.clear_faults(id)
    [intent] = [each["id"] for each in await platform.provider.intents(id) if each["amount"] == 1000]
    form = {"payment_intent": intent}
    assert (await platform.provider.as_stripe("/v1/refunds", form, platform.settings)).status_code == 200
    return exchange


async def resolved_exchange(platform: PlatformClient, buyer: Buyer, booking: dict[str, Any]) -> None:
    """An exchange that took 1000 and failed; an operator gave that back in the dashboard and resolved the undo."""
    exchange = await exchange_undone_by_hand(platform, buyer, booking)
    await platform.exchange_saga(exchange).execute_update("operate", "resolve")
    await exchange_is(buyer, {"id": exchange, "booking_id": booking["id"]}, "failed")


async def shown(buyer: Buyer, booking: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(each["cause"], each["amount"], each["state"]) for each in await buyer.refunds(booking["id"])]


def told_of_the_provider(platform: PlatformClient, booking: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What the mail about a refund says that the provider gave back itself."""
    told = """
        SELECT (data->>'by_provider')::int FROM domain_events WHERE aggregate_id = %s AND type = 'booking.refunded'
    """
    return rows(platform.settings, told, booking["id"], of="reservation")


async def test_a_refund_in_the_dashboard_is_learned_by_webhook_and_the_rest_goes_back(platform: PlatformClient) -> None:
    buyer, booking = await bought_one(platform)

    await refunded_in_its_dashboard(platform, booking["id"], 1000, drop=0)

    await learned(buyer, booking["id"], 1000)
    now = await buyer.booking(booking["id"])
    assert (now["status"], now["tickets"]) == ("confirmed", booking["tickets"])
    assert await shown(buyer, booking) == [("provider", 1000, "succeeded")]
    assert "payment provider" in (await buyer.refunds(booking["id"]))[0]["reason"]
    await platform.assert_audit_is_clean()
    quote = (await buyer.quote_refund(booking["id"])).json()
    assert (quote["amount"], quote["fee"]) == (4000, 0)
    refund = await accepted(buyer, booking["id"])
    assert refund["amount"] == 4000
    await becomes(buyer, booking["id"], "refunded")
    assert (await buyer.booking(booking["id"]))["refunded"] == 5000
    assert await platform.provider.kept(booking["id"]) == 0


async def test_without_its_webhook_it_is_learned_before_the_money_goes_back(platform: PlatformClient) -> None:
    buyer, booking = await bought_one(platform)
    await refunded_in_its_dashboard(platform, booking["id"], 1000, drop=1)

    await accepted(buyer, booking["id"])

    await becomes(buyer, booking["id"], "refunded")
    assert (await buyer.booking(booking["id"]))["refunded"] == 5000
    assert sorted(await shown(buyer, booking)) == [("buyer", 4000, "succeeded"), ("provider", 1000, "succeeded")]
    assert await platform.provider.kept(booking["id"]) == 0
    codes = rows(platform.settings, "SELECT amount, code FROM refunds WHERE booking_id = %s", booking["id"])
    assert sorted(codes, key=str) == [(1000, "by_provider"), (4000, None)]


@pytest.mark.parametrize("drop", sample([0, 1], 1, of="webhooks of a refund of everything"))
async def test_where_nothing_is_left_the_tickets_are_void_and_nothing_waits(
    platform: PlatformClient, drop: float
) -> None:
    _, buyer, booking = await bought(platform, "A-1-1", "A-1-2")
    await refunded_in_its_dashboard(platform, booking["id"], 10000, drop=drop)
    if not drop:
        await learned(buyer, booking["id"], 10000)
    await accepted(buyer, booking["id"])
    await becomes(buyer, booking["id"], "refunded")
    assert (await buyer.booking(booking["id"]))["refunded"] == 10000
    assert await platform.provider.kept(booking["id"]) == 0
    assert told_of_the_provider(platform, booking) == [(10000,)]


async def test_a_part_is_refunded_in_full_as_long_as_enough_is_left(platform: PlatformClient) -> None:
    _, buyer, booking = await bought(platform, "A-1-1", "A-1-2")
    await refunded_in_its_dashboard(platform, booking["id"], 1000, drop=0)
    await learned(buyer, booking["id"], 1000)
    first, second = (each["id"] for each in booking["tickets"])
    assert (await accepted(buyer, booking["id"], first))["amount"] == 5000
    await becomes(buyer, booking["id"], "partially_refunded")
    assert (await accepted(buyer, booking["id"], second))["amount"] == 4000
    await becomes(buyer, booking["id"], "refunded")
    assert await platform.provider.kept(booking["id"]) == 0


async def all_told(platform: PlatformClient, booking: str) -> bool:
    return all(each["due"] is None for each in await platform.provider.messages(booking))


async def test_a_second_refund_in_the_dashboard_is_learned_while_the_first_is(platform: PlatformClient) -> None:
    buyer, booking = await bought_one(platform)
    id = booking["id"]
    asked = len(await platform.provider.calls(id, "retrieve"))
    with psycopg.connect(secret(platform.settings.postgres_admin_dsn), dbname="seatwright_payment") as busy:
        busy.execute("SELECT FROM attempts WHERE booking_id = %s FOR UPDATE", [id])  # so that learning is slow
        await refunded_in_its_dashboard(platform, id, 1000, drop=0)

        async def has_asked() -> bool:
            return len(await platform.provider.calls(id, "retrieve")) > asked

        await eventually(has_asked)
        await refunded_in_its_dashboard(platform, id, 500, drop=0)
        await eventually(partial(all_told, platform, id))
        busy.rollback()
    await learned(buyer, id, 1500)


async def test_a_refund_in_the_dashboard_is_learned_while_a_refund_of_ours_is_pending(platform: PlatformClient) -> None:
    _, buyer, booking = await bought(platform, "A-1-1", "A-1-2")
    await platform.provider.will("processing", "refund", booking["id"])
    await accepted(buyer, booking["id"], booking["tickets"][0]["id"])
    pending = str(await eventually(lambda: platform.provider.left_pending(booking["id"])))
    await refunded_in_its_dashboard(platform, booking["id"], 1000, drop=0)
    await eventually(partial(all_told, platform, booking["id"]))
    await platform.provider.decide(pending, "succeeded")
    await becomes(buyer, booking["id"], "partially_refunded")
    await learned(buyer, booking["id"], 6000)


async def test_the_tickets_of_a_quote_add_up_after_a_refund_in_the_dashboard(platform: PlatformClient) -> None:
    _, buyer, booking = await bought(platform, "A-1-1", "A-1-2", refund_policy={"until_hours": 0, "fee_percent": 10})
    await refunded_in_its_dashboard(platform, booking["id"], 2000, drop=0)
    await learned(buyer, booking["id"], 2000)
    quote = (await buyer.quote_refund(booking["id"])).json()
    assert (quote["amount"], quote["fee"]) == (8000, 0)
    assert [(each["amount"], each["fee"]) for each in quote["tickets"]] == [(4500, 0), (3500, 0)]


@pytest.mark.thorough  # a first try learns the same above, and test_refund_notifications.py retries one that waits
async def test_a_refund_that_waits_goes_on_with_what_the_dashboard_has_left(platform: PlatformClient) -> None:
    buyer, booking = await bought_one(platform)
    await platform.provider.will("decline", "refund", booking["id"], times=3)
    refund = await accepted(buyer, booking["id"])
    await eventually(lambda: needs_attention(buyer, booking["id"]), within=40)
    await refunded_in_its_dashboard(platform, booking["id"], 1000, drop=1)
    await platform.refund_saga(refund["id"]).execute_update("operate", "retry")
    await becomes(buyer, booking["id"], "refunded")
    assert (await buyer.booking(booking["id"]))["refunded"] == 5000
    assert await platform.provider.kept(booking["id"]) == 0


@pytest.mark.thorough  # in test_refunds.py the ledger has a resolved refund once
async def test_what_an_operator_resolves_is_not_counted_twice_with_its_webhook(platform: PlatformClient) -> None:
    buyer, booking = await bought_one(platform)
    await platform.provider.will("decline", "refund", booking["id"], times=3)
    refund = await accepted(buyer, booking["id"])
    await eventually(lambda: needs_attention(buyer, booking["id"]), within=40)
    await refunded_in_its_dashboard(platform, booking["id"], 5000, drop=0)
    await learned(buyer, booking["id"], 5000)
    await platform.refund_saga(refund["id"]).execute_update("operate", "resolve")
    await becomes(buyer, booking["id"], "refunded")
    assert (await buyer.booking(booking["id"]))["refunded"] == 5000
    assert told_of_the_provider(platform, booking) == [(5000,)]


async def test_a_ticket_refunded_in_the_dashboard_and_resolved_leaves_the_other_ones_money(
    platform: PlatformClient,
) -> None:
    _, buyer, booking = await bought(platform, "A-1-1", "A-1-2")
    first, second = (each["id"] for each in booking["tickets"])
    await platform.provider.will("decline", "refund", booking["id"], times=3)
    refund = await accepted(buyer, booking["id"], first)
    await eventually(lambda: needs_attention(buyer, booking["id"]), within=40)
    await refunded_in_its_dashboard(platform, booking["id"], 5000, drop=0)
    await learned(buyer, booking["id"], 5000)

    await platform.refund_saga(refund["id"]).execute_update("operate", "resolve")

    await becomes(buyer, booking["id"], "partially_refunded")
    assert (await buyer.booking(booking["id"]))["refunded"] == 5000
    await platform.assert_audit_is_clean()
    assert (await accepted(buyer, booking["id"], second))["amount"] == 5000
    await becomes(buyer, booking["id"], "refunded")
    assert await platform.provider.kept(booking["id"]) == 0


async def test_a_cancelled_event_is_not_stranded_by_a_refund_in_the_dashboard(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "A-1-1")
    await refunded_in_its_dashboard(platform, booking["id"], 1000, drop=1)
    await platform.cancel(event)
    await becomes(buyer, booking["id"], "refunded")
    assert await platform.provider.kept(booking["id"]) == 0

    async def over() -> bool:
        cancellation = await platform.cancellation(event)
        return cancellation["report"] is not None and cancellation["report"]["failed"] == 0

    await eventually(over, within=30)


async def test_support_sees_in_the_timeline_what_the_provider_gave_back(platform: PlatformClient) -> None:
    buyer, booking = await bought_one(platform)
    await refunded_in_its_dashboard(platform, booking["id"], 1000, drop=0)
    await learned(buyer, booking["id"], 1000)
    answer = await platform.new_buyer(Role.SUPPORT).get(f"/v1/bookings/{booking['id']}/timeline")
    assert answer.status_code == 200, answer.text
    timeline = answer.json()
    assert [(each["refund"]["cause"], each["steps"]) for each in timeline["refunds"]] == [("provider", [])]
    assert "booking.refunded_by_provider" in [each["type"] for each in timeline["domain_events"]]


@pytest.mark.thorough  # the next test gives back the same money in two parts
async def test_a_failed_exchanges_money_in_the_dashboard_is_no_refund_of_the_booking(platform: PlatformClient) -> None:
    _, buyer, booking = await bought(platform, "B-1-1", "B-1-2")
    await resolved_exchange(platform, buyer, booking)
    await accepted(buyer, booking["id"])
    await becomes(buyer, booking["id"], "refunded")
    assert await shown(buyer, booking) == [("buyer", 8000, "succeeded")]
    assert (await buyer.booking(booking["id"]))["refunded"] == 8000
    assert await platform.provider.kept(booking["id"]) == 0


async def test_after_such_an_exchange_single_tickets_give_back_their_whole_price(platform: PlatformClient) -> None:
    _, buyer, booking = await bought(platform, "B-1-1", "B-1-2")
    await resolved_exchange(platform, buyer, booking)
    for ticket, status in zip(booking["tickets"], ("partially_refunded", "refunded"), strict=True):
        assert (await accepted(buyer, booking["id"], ticket["id"]))["amount"] == 4000
        await becomes(buyer, booking["id"], status)
        if status == "partially_refunded":
            await platform.assert_audit_is_clean()
    assert await shown(buyer, booking) == [("buyer", 4000, "succeeded")] * 2
    assert (await buyer.booking(booking["id"]))["refunded"] == 8000
    assert await platform.provider.kept(booking["id"]) == 0
