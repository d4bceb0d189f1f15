"""Late money beside other money of the same buyer: each payment buys, or goes back, for itself."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from config.settings import Settings
from temporal.search_attributes import EVENT
from tests.pace import stretched
from tests.platform_client import PlatformClient
from tests.scenarios.test_late_payments import Late, expired, needs_attention, taken_by_hand, undecided
from tests.scenarios.test_outcomes import register
from tests.waiting import eventually
from tests.webhooks import rows


async def twice_undecided(platform: PlatformClient, settings: Settings) -> tuple[Late, list[WorkflowHandle[Any, Any]]]:
    """An expired booking with two payments that may still arrive, and their workflows, which know that it expired."""
    late = await undecided(platform, settings, hold_seconds=6)
    await platform.provider.will("processing", "confirm", late.booking)
    assert (await late.buyer.pay(late.booking)).status_code == 202
    await late.buyer.abandon(late.booking)
    await late.buyer.ends_as(late.booking, "expired")
    workflows = [
        platform.temporal.get_workflow_handle(f"late-payment-{intent['id']}")
        for intent in await platform.provider.intents(late.booking)
    ]
    assert len(workflows) == 2
    for workflow in workflows:  # the next run knows the booking as expired from its beginning
        await eventually(partial(has_read_the_booking, workflow))
        await workflow.terminate("it has read the booking too early")
        await eventually(partial(has_read_the_booking, workflow))
    return late, workflows


async def has_read_the_booking(late: WorkflowHandle[Any, Any]) -> bool:
    """It shows its event as soon as it has."""
    shown = await late.describe()
    return shown.status is WorkflowExecutionStatus.RUNNING and shown.typed_search_attributes.get(EVENT) is not None


async def seen(late: Late, decision: Awaitable[None]) -> None:
    """Let the provider decide, and wait until a workflow has asked it."""
    asked = len(await late.platform.provider.calls(late.booking, "retrieve"))
    await decision

    async def has_asked() -> bool:
        return len(await late.platform.provider.calls(late.booking, "retrieve")) > asked

    await eventually(has_asked, within=60)


async def has_nothing_to_do(late: WorkflowHandle[Any, Any]) -> bool:
    """It has ended, or lets a pause pass."""
    *_, last = (await late.fetch_history()).events
    return last.event_type in (EventType.EVENT_TYPE_TIMER_STARTED, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED)


@pytest.mark.parametrize(
    "together",
    [pytest.param(False, id="one after the other", marks=pytest.mark.thorough), pytest.param(True, id="at once")],
)
async def test_of_two_late_payments_of_one_booking_one_buys_and_the_other_goes_back(
    platform: PlatformClient, settings: Settings, together: bool
) -> None:
    late, workflows = await twice_undecided(platform, settings)
    for most in (None,) if together else (1, 1):
        await platform.provider.settle(late.booking, most=most)
        await late.buyer.ends_as(late.booking, "confirmed")
    assert sorted([str(await each.result()) for each in workflows]) == ["returned", "same_places"]
    assert await late.seats() == ["A-1-3"]
    assert await late.kept() == 5000


async def test_a_late_payment_that_is_undone_leaves_the_money_of_another_alone(
    platform: PlatformClient, settings: Settings
) -> None:
    late, (first, second) = await twice_undecided(platform, settings)
    await platform.provider.will("slow", "capture", late.booking, delay_seconds=stretched(2))
    await platform.provider.settle(late.booking, most=1)
    taken_up = "SELECT FROM attempts WHERE booking_id = %s AND state = 'authorized'"
    await eventually(lambda: rows(settings, taken_up, late.booking), within=60)
    await platform.provider.alter_intent((await platform.provider.intents(late.booking))[0], amount=4999)
    await eventually(lambda: needs_attention(first), within=60)
    await seen(late, platform.provider.settle(late.booking))
    await eventually(partial(has_nothing_to_do, second))
    await first.execute_update("operate", "retry")
    assert await second.result() == "returned"
    assert await late.buyer.status(late.booking) == "failed"
    assert await late.kept() == 0
    assert await platform.seat(late.event, "A-1-3") == "available"


async def test_late_money_that_has_gone_back_already_buys_nothing(platform: PlatformClient, settings: Settings) -> None:
    late = await undecided(platform, settings, hold_seconds=12)
    await seen(late, late.money_turns_up())
    await eventually(partial(has_nothing_to_do, await late.workflow()))
    [intent] = await platform.provider.intents(late.booking)
    for path, form in (
        (f"/v1/payment_intents/{intent['id']}/capture", {}),
        ("/v1/refunds", {"payment_intent": intent["id"]}),
    ):  # in the provider's dashboard, before the hold ends
        answer = await platform.provider.as_stripe(path, form, settings)
        assert answer.status_code == 200, answer.text
    assert await late.buyer.status(late.booking) == "held"
    await late.buyer.ends_as(late.booking, "expired")
    assert await late.is_settled() is None
    assert await late.buyer.status(late.booking) == "expired"
    assert await platform.seat(late.event, "A-1-3") == "available"


async def test_a_buyer_who_booked_the_event_again_gets_late_money_back(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings)
    again = await late.buyer.bought(late.event, "A-1-4")
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await late.buyer.status(late.booking) == "expired"
    assert await late.kept() == 0
    assert await late.buyer.status(again["id"]) == "confirmed"


async def test_late_money_of_an_erased_person_goes_back(platform: PlatformClient, settings: Settings) -> None:
    person = await register(platform)
    late = await expired(platform, settings, buyer=person)
    body = {"password": "correct horse battery"}
    erased = await platform.http.request("DELETE", "/v1/me", json=body, headers=person.headers)
    assert erased.status_code == 204, erased.text
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await late.kept() == 0
    assert await platform.seat(late.event, "A-1-3") == "available"


async def test_late_money_that_the_provider_does_not_refund_waits_for_an_operator(
    platform: PlatformClient, settings: Settings
) -> None:
    late, intent = await taken_by_hand(platform, settings)
    workflow = await late.workflow()
    await platform.provider.will("decline", "refund", late.booking, times=1000)
    await workflow.signal("provider_has_news")

    async def is_refused() -> bool:
        asked = await platform.provider.calls(late.booking, "refund")
        return len(asked) == 3 and await needs_attention(workflow)

    await eventually(is_refused, within=90)
    await platform.provider.clear_faults(late.booking)
    by_hand = await platform.provider.as_stripe("/v1/refunds", {"payment_intent": intent}, settings)
    assert by_hand.status_code == 200, by_hand.text
    await workflow.execute_update("operate", "resolve")
    assert await late.is_settled() == "returned"
    assert await late.kept() == 0
