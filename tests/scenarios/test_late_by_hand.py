"""Late money that an operator has given back by bank transfer is the provider's: it buys nothing, and stays there."""

from __future__ import annotations

import orjson

from config.settings import Settings
from tests.platform_client import PlatformClient
from tests.scenarios.test_late_payments import Late, expired, needs_attention, taken_by_hand
from tests.waiting import eventually
from tests.webhooks import kept, message, post, rows


async def is_parked(late: Late) -> bool:
    return await needs_attention(await late.workflow())


def states(late: Late) -> tuple[str, ...]:
    """The states of the booking's attempts."""
    found = rows(late.settings, "SELECT state FROM attempts WHERE booking_id = %s ORDER BY number", late.booking)
    return tuple(state for (state,) in found)


async def test_late_money_that_an_operator_paid_by_transfer_is_not_refunded_as_well(
    platform: PlatformClient, settings: Settings
) -> None:
    late, _ = await taken_by_hand(platform, settings)
    workflow = await late.workflow()
    await platform.provider.will("decline", "refund", late.booking, times=1000)
    await workflow.signal("provider_has_news")

    async def is_refused() -> bool:
        return len(await platform.provider.calls(late.booking, "refund")) == 3 and await is_parked(late)

    await eventually(is_refused, within=90)
    await workflow.signal("provider_has_news")  # as the message about each refund that fails does

    await workflow.execute_update("operate", "resolve")

    assert await late.is_settled() == "returned"
    assert len(await platform.provider.calls(late.booking, "refund")) == 3
    assert await late.kept() == 5000
    assert states(late) == ("refunded",)
    await platform.provider.clear_faults(late.booking)
    await platform.refund_by_hand(late.booking)  # so that the audit finds nothing


async def test_late_money_that_an_operator_paid_by_transfer_buys_no_seats_afterwards(
    platform: PlatformClient, settings: Settings
) -> None:
    late, rival = await expired(platform, settings), platform.new_buyer()
    other = await rival.bought(late.event, "A-1-3")
    await platform.provider.will("500_before", "cancel", late.booking, times=1000)
    await late.money_turns_up()
    await eventually(lambda: is_parked(late), within=60)
    assert (await rival.refund(other["id"])).status_code == 202
    await eventually(lambda: is_free(late), within=60)

    await (await late.workflow()).execute_update("operate", "resolve")
    assert await late.is_settled() == "returned"
    [intent] = await platform.provider.intents(late.booking)
    again = message(intent["id"])
    assert (await post(platform.http, settings, again)).status_code == 200

    assert kept(settings, orjson.loads(again)["id"]) == [(late.booking, "ignored")]
    assert await late.buyer.status(late.booking) == "expired"
    await platform.provider.clear_faults(late.booking)
    cancelled = await platform.provider.as_stripe(f"/v1/payment_intents/{intent['id']}/cancel", {}, settings)
    assert cancelled.status_code == 200, cancelled.text  # so that the audit finds nothing


async def is_free(late: Late) -> bool:
    return await late.platform.seat(late.event, "A-1-3") == "available"


async def test_late_money_that_an_operator_voided_at_the_provider_was_never_taken(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings)
    await platform.new_buyer().bought(late.event, "A-1-3")
    await platform.provider.will("500_before", "cancel", late.booking, times=1000)
    await late.money_turns_up()
    await eventually(lambda: is_parked(late), within=60)
    await platform.provider.clear_faults(late.booking)
    [intent] = await platform.provider.intents(late.booking)
    voided = await platform.provider.as_stripe(f"/v1/payment_intents/{intent['id']}/cancel", {}, settings)
    assert voided.status_code == 200, voided.text
    await (await late.workflow()).execute_update("operate", "resolve")
    assert await late.is_settled() == "returned"
    assert states(late) == ("voided",)


async def test_a_late_refund_that_fails_thrice_after_it_was_pending_waits_for_an_operator(
    platform: PlatformClient, settings: Settings
) -> None:
    late, _ = await taken_by_hand(platform, settings)
    workflow = await late.workflow()
    await platform.provider.will("processing", "refund", late.booking, times=1000)
    await workflow.signal("provider_has_news")
    for _ in range(3):
        pending = await eventually(lambda: platform.provider.left_pending(late.booking), within=60)
        await platform.provider.decide(str(pending), "failed")

    await eventually(lambda: is_parked(late), within=60)

    assert len(await platform.provider.refunds(late.booking)) == 3
    await platform.provider.clear_faults(late.booking)
    await workflow.execute_update("operate", "retry")
    assert await late.is_settled() == "returned"
    assert await late.kept() == 0


async def test_an_undone_late_payment_that_an_operator_paid_by_transfer_is_not_refunded(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings)
    await platform.provider.will("slow", "capture", late.booking, delay_seconds=1)
    await late.money_turns_up()
    taken_up = "SELECT FROM attempts WHERE booking_id = %s AND state = 'authorized'"
    await eventually(lambda: rows(settings, taken_up, late.booking), within=60)
    await platform.provider.will("decline", "refund", late.booking, times=1000)
    await platform.provider.alter(late.booking, amount=4999)
    await eventually(lambda: is_parked(late), within=60)
    await platform.provider.clear_faults(late.booking)
    asked = len(await platform.provider.calls(late.booking, "refund"))
    assert asked > 0

    await (await late.workflow()).execute_update("operate", "resolve")

    assert await late.is_settled() == "returned"
    assert await late.buyer.status(late.booking) == "failed"
    assert len(await platform.provider.calls(late.booking, "refund")) == asked
    assert states(late) == ("refunded",)
    await platform.refund_by_hand(late.booking)  # so that the audit finds nothing
