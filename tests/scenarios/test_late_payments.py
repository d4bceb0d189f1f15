"""Money that arrives after the end of its booking gets seats if possible, else a full refund, with one message."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from config.settings import Settings
from db.engine import open_engine
from stack import Stack
from tests.buyer import CARD, Buyer
from tests.pace import stretched
from tests.platform_client import PlatformClient
from tests.scale import FULL, sample
from tests.waiting import eventually
from tests.webhooks import rows

FAULTS = ("500_before", "500_saved", "500_after", "timeout_before", "timeout_after")
ON_THE_WAY = [(operation, fault) for operation in ("retrieve", "capture") for fault in FAULTS]
RIVALS = 3 if FULL else 2  # each of them waits for the end of its hold before the next one holds the seat


class Late:
    """A booking with a payment that the provider decides after the booking has ended."""

    def __init__(self, platform: PlatformClient, settings: Settings, buyer: Buyer, event: str, booking: str) -> None:
        self.platform, self.settings, self.buyer, self.event, self.booking = platform, settings, buyer, event, booking

    async def money_turns_up(self) -> None:
        await self.platform.provider.settle(self.booking)

    async def workflow(self) -> WorkflowHandle[Any, Any]:
        intents = await self.platform.provider.intents(self.booking)
        return self.platform.temporal.get_workflow_handle(f"late-payment-{intents[0]['id']}")

    async def is_settled(self, within: float = 60) -> str | None:
        """Wait for the message to the buyer."""

        async def is_over() -> bool:
            watched = rows(self.settings, "SELECT FROM attempts WHERE booking_id = %s AND watched", self.booking)
            return not watched and (await (await self.workflow()).describe()).status == 2

        await eventually(is_over, within=within)
        return await self.told()

    async def told(self) -> str | None:
        """What the message to the buyer says, if there is one."""
        told = rows(
            self.settings,
            "SELECT data ->> 'settlement' FROM domain_events WHERE aggregate_id = %s AND type = 'payment.late_settled'",
            self.booking,
        )
        assert len(told) <= 1
        return str(told[0][0]) if told else None

    async def seats(self) -> list[str]:
        booking = await self.buyer.booking(self.booking)
        assert booking["status"] == "confirmed"
        assert sorted(ticket["seat"] for ticket in booking["tickets"] if ticket["seat"]) == sorted(booking["seats"])
        return list(booking["seats"])

    async def kept(self) -> int:
        return await self.platform.provider.kept(self.booking)


async def undecided(
    platform: PlatformClient,
    settings: Settings,
    *seats: str,
    event: str | None = None,
    hold_seconds: float = 3,
    silent: bool = False,
    buyer: Buyer | None = None,
    **more: Any,
) -> Late:
    """A booking with an abandoned payment that the provider cannot close; in an event of its own unless given.

    A payment has to begin within the hold; where the hold is short, it may be over when the payment is abandoned.
    """
    event = event or await platform.event(hold_seconds=stretched(hold_seconds), rows=3, seats_per_row=6)
    buyer = buyer or platform.new_buyer()
    booking = await buyer.held(event, *(seats or ("A-1-3",)), **more)
    if silent:
        await platform.provider.send(booking, drop=1)
    await platform.provider.will("processing", "confirm", booking)
    answer = await buyer.pay(booking)
    assert (answer.status_code, answer.json()["next_action"]) == (202, None), answer.text
    abandoned = await buyer.abandon(booking)
    assert abandoned.status_code == 200 or await buyer.status(booking) == "expired", abandoned.text
    return Late(platform, settings, buyer, event, booking)


async def expired(platform: PlatformClient, settings: Settings, *seats: str, **more: Any) -> Late:
    late = await undecided(platform, settings, *seats, **more)
    await late.buyer.ends_as(late.booking, "expired")
    await platform.redis_knows_the_end(late.booking)
    return late


async def test_late_money_gets_the_same_places_if_they_are_free(platform: PlatformClient, settings: Settings) -> None:
    late = await expired(platform, settings, "A-1-3", "B-2-1", quantities={"Standing": 2})
    assert await platform.seat(late.event, "A-1-3") == "available"

    await late.money_turns_up()

    assert await late.is_settled() == "same_places"
    assert await late.seats() == ["A-1-3", "B-2-1"]
    assert await late.kept() == 15000
    assert await platform.seat(late.event, "A-1-3") == "sold"


async def test_late_money_is_found_without_a_webhook(platform: PlatformClient, settings: Settings) -> None:
    late = await expired(platform, settings, silent=True)
    await late.money_turns_up()
    assert await late.is_settled() == "same_places"


async def test_an_undecided_payment_frees_the_seats_and_is_still_settled_later(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer = await platform.event(hold_seconds=stretched(3)), platform.new_buyer()
    booking = await buyer.held(event, "A-1-3")
    await platform.provider.will("processing", "confirm", booking)
    assert (await buyer.pay(booking)).status_code == 202
    await buyer.ends_as(booking, "expired", within=60)
    late = Late(platform, settings, buyer, event, booking)
    await late.money_turns_up()
    assert await late.is_settled() == "same_places"


async def test_a_buyer_who_agreed_gets_the_nearest_equal_seats_after_losing_theirs(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings, "A-1-3", "A-1-4", accept_alternatives=True)
    await platform.new_buyer().bought(late.event, "A-1-4")

    await late.money_turns_up()

    assert await late.is_settled() == "other_seats"
    assert await late.seats() == ["A-1-2", "A-1-3"]
    assert await late.kept() == 10000


async def test_a_buyer_who_did_not_agree_to_other_seats_is_refunded(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings)
    await platform.new_buyer().bought(late.event, "A-1-3")
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await late.buyer.status(late.booking) == "expired"
    assert await late.kept() == 0


@pytest.mark.thorough
async def test_a_buyer_who_agreed_is_refunded_when_no_equal_seats_are_left(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings, "A-1-3", "A-1-4", accept_alternatives=True)
    for row in (1, 2, 3):  # single seats stay free, but no two together
        await platform.new_buyer().bought(late.event, *(f"A-{row}-{number}" for number in (2, 4, 6)))
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await late.kept() == 0


async def test_standing_places_that_are_sold_out_are_not_sold_again(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings, quantities={"Standing": 1}, accept_alternatives=True)
    for _ in range(2):
        await platform.new_buyer().bought(late.event, quantities={"Standing": 50})
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await platform.free_places(late.event, "Standing") == 0
    assert await platform.seat(late.event, "A-1-3") == "available"


async def test_late_money_of_a_cancelled_booking_is_refunded(platform: PlatformClient, settings: Settings) -> None:
    late = await undecided(platform, settings, hold_seconds=120)
    await late.buyer.cancel(late.booking)
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await late.buyer.status(late.booking) == "cancelled"
    assert await late.kept() == 0


async def test_a_buyer_who_has_already_paid_again_is_refunded_the_late_payment(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await undecided(platform, settings, hold_seconds=120)
    assert (await late.buyer.pay(late.booking, CARD)).status_code == 200
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await late.seats() == ["A-1-3"]
    assert await late.kept() == 5000


async def test_money_that_turns_up_while_the_booking_is_held_waits_for_its_end(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await undecided(platform, settings, hold_seconds=6)
    assert await late.buyer.status(late.booking) == "held"
    await late.money_turns_up()
    await late.buyer.ends_as(late.booking, "confirmed")
    assert await late.is_settled() == "same_places"
    assert await late.kept() == 5000


@pytest.mark.thorough
async def test_late_money_for_a_cancelled_event_is_refunded(platform: PlatformClient, settings: Settings) -> None:
    late = await expired(platform, settings)
    await platform.call_off(late.event)
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await late.kept() == 0


async def test_a_payment_that_is_declined_in_the_end_changes_nothing(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings)
    await platform.provider.settle(late.booking, "declined")
    assert await late.is_settled() is None
    assert await late.buyer.status(late.booking) == "expired"


async def test_a_capture_that_is_refused_late_undoes_everything_again(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings)
    await platform.provider.will("decline", "capture", late.booking, times=9)
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await late.buyer.status(late.booking) == "failed"
    assert await late.kept() == 0
    assert await platform.seat(late.event, "A-1-3") == "available"


@pytest.mark.parametrize(("operation", "fault"), sample(ON_THE_WAY, 1, of="the way to the late ticket"))
async def test_a_fault_on_the_way_to_the_late_ticket_takes_the_money_once(
    platform: PlatformClient, settings: Settings, operation: str, fault: str
) -> None:
    late = await expired(platform, settings)
    await platform.provider.will(fault, operation, late.booking)
    await late.money_turns_up()
    assert await late.is_settled() == "same_places"
    assert await late.kept() == 5000


@pytest.mark.parametrize("fault", sample(FAULTS, 1, of="the refund of late money"))
async def test_a_fault_during_the_refund_returns_all_money_once(
    platform: PlatformClient, settings: Settings, fault: str
) -> None:
    late = await undecided(platform, settings, hold_seconds=120)
    await late.buyer.cancel(late.booking)
    await platform.provider.will(fault, "cancel", late.booking)
    await late.money_turns_up()
    assert await late.is_settled() == "returned"
    assert await late.kept() == 0


async def parked(platform: PlatformClient, settings: Settings) -> Late:
    """Late money that waits for an operator, since it cannot be returned."""
    late = await undecided(platform, settings, hold_seconds=120)
    await late.buyer.cancel(late.booking)
    await platform.provider.will("500_before", "cancel", late.booking, times=1000)
    await late.money_turns_up()
    workflow = await late.workflow()
    await eventually(lambda: needs_attention(workflow), within=60)
    return late


@pytest.mark.thorough
async def test_a_late_refund_that_keeps_failing_is_shown_and_retried_by_an_operator(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await parked(platform, settings)
    await platform.provider.clear_faults(late.booking)
    await (await late.workflow()).signal("provider_has_news")
    assert await late.is_settled() == "returned"


async def taken_by_hand(platform: PlatformClient, settings: Settings) -> tuple[Late, str]:
    """Late money of a cancelled booking that staff have taken, while its workflow could not ask; and its intent."""
    late = await undecided(platform, settings, hold_seconds=120, silent=True)
    await late.buyer.cancel(late.booking)
    await platform.provider.will("500_before", "retrieve", late.booking, times=1000)
    await late.money_turns_up()
    [intent] = await platform.provider.intents(late.booking)
    taken = await platform.provider.as_stripe(f"/v1/payment_intents/{intent['id']}/capture", {}, settings)
    assert taken.status_code == 200, taken.text
    workflow = await late.workflow()
    await eventually(lambda: needs_attention(workflow), within=60)
    await platform.provider.clear_faults(late.booking)
    return late, str(intent["id"])


async def test_late_money_counts_as_returned_only_when_its_refund_has_succeeded(
    platform: PlatformClient, settings: Settings
) -> None:
    late, _ = await taken_by_hand(platform, settings)
    workflow = await late.workflow()
    await platform.provider.will("processing", "refund", late.booking)
    await workflow.signal("provider_has_news")
    pending = await eventually(lambda: platform.provider.left_pending(late.booking), within=60)

    async def looked_again() -> bool:
        return len(await platform.provider.calls(late.booking, "list")) > 3

    await eventually(looked_again, within=60)
    assert rows(settings, "SELECT watched FROM attempts WHERE booking_id = %s", late.booking) == [(True,)]
    assert not await needs_attention(workflow)

    await platform.provider.decide(str(pending), "failed")

    assert await late.is_settled() == "returned"
    assert [each["status"] for each in await platform.provider.refunds(late.booking)] == ["succeeded", "failed"]
    assert await late.kept() == 0


@pytest.mark.thorough
async def test_a_late_payments_workflow_that_was_terminated_is_started_again(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings)
    workflow = await late.workflow()
    await eventually(lambda: _exists(workflow))
    await workflow.terminate("by mistake")
    await late.money_turns_up()
    assert await late.is_settled() == "same_places"


async def test_a_late_payment_without_its_workflow_keeps_neither_seats_nor_money(
    platform: PlatformClient, settings: Settings
) -> None:
    late = await expired(platform, settings)
    await platform.provider.will("timeout_before", "capture", late.booking, times=1000)  # tries that fail after a while
    await late.money_turns_up()
    await late.buyer.ends_as(late.booking, "paying")
    await (await late.workflow()).terminate("by mistake")
    engine = open_engine(settings.database_url("reservation"), pool_size=4, serves_callers=False)

    async def is_revived() -> bool:
        await platform.revive(engine, platform.saga(late.booking), overdue=-timedelta(minutes=1))
        return await late.buyer.status(late.booking) == "failed"

    await eventually(is_revived, within=60, every=0.5)
    await engine.dispose()
    assert await late.is_settled() in (None, "returned")  # whichever of the two workflows gave it back
    assert await late.kept() == 0
    assert await platform.seat(late.event, "A-1-3") == "available"


async def needs_attention(workflow: WorkflowHandle[Any, Any]) -> bool:
    try:
        found = (await workflow.describe()).typed_search_attributes
    except RPCError:
        return False
    return {pair.key.name: pair.value for pair in found}.get("SeatwrightStatus") == "needs_attention"


async def _exists(workflow: WorkflowHandle[Any, Any]) -> bool:
    try:
        await workflow.describe()
    except RPCError:
        return False
    return True


async def test_late_payments_for_one_seat_sell_it_once(platform: PlatformClient, settings: Settings) -> None:
    first = await expired(platform, settings)
    others = [await expired(platform, settings, event=first.event) for _ in range(RIVALS - 1)]
    await asyncio.gather(*(late.money_turns_up() for late in (first, *others)))
    told = [await late.is_settled() for late in (first, *others)]
    assert sorted(map(str, told)) == [*["returned"] * (RIVALS - 1), "same_places"]


@pytest.mark.disruptive
@pytest.mark.parametrize("operation", sample(["retrieve", "capture"], 1, of="dead workers that sell late"))
async def test_a_worker_killed_while_it_sells_late_leaves_it_to_another(
    platform: PlatformClient, settings: Settings, stack: Stack, operation: str
) -> None:
    late = await expired(platform, settings)
    before = len(await platform.provider.calls(late.booking, "retrieve"))
    await platform.provider.will("slow", operation, late.booking, delay_seconds=1)
    await late.money_turns_up()
    await eventually(lambda: _looked(late, before))
    await asyncio.to_thread(stack.kill, "work")
    await asyncio.to_thread(stack.start, "work")
    assert await late.is_settled() == "same_places"
    assert await late.kept() == 5000


async def _looked(late: Late, before: int) -> bool:
    return len(await late.platform.provider.calls(late.booking, "retrieve")) > before


@pytest.mark.disruptive
@pytest.mark.thorough
async def test_a_worker_killed_while_it_returns_late_money_leaves_it_to_another(
    platform: PlatformClient, settings: Settings, stack: Stack
) -> None:
    late = await undecided(platform, settings, hold_seconds=120)
    await late.buyer.cancel(late.booking)
    before = len(await platform.provider.calls(late.booking, "retrieve"))
    await platform.provider.will("slow", "cancel", late.booking, delay_seconds=1)
    await late.money_turns_up()
    await eventually(lambda: _looked(late, before))
    await asyncio.to_thread(stack.kill, "work")
    await asyncio.to_thread(stack.start, "work")
    assert await late.is_settled() == "returned"
    assert await late.kept() == 0
