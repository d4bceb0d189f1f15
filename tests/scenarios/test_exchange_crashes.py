"""After a crash between any two steps of an exchange the buyer has one seat and pays once.

`tests/faults/test_exchanges.py` kills its workers before and after each of its effects; here is what that cannot do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from config.settings import Settings
from db.engine import open_engine
from stack import Stack
from temporal.policies import booking_policy
from tests.buyer import CARD_WITH_3DS, Buyer
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.test_attention import SLOW, locked_out
from tests.scenarios.test_exchange import bought, exchanged, refused_as, sits, ticket_of
from tests.scenarios.test_exchange_payments import exchange_is, waiting
from tests.scenarios.test_outages import without
from tests.waiting import eventually, in_time
from tests.webhooks import rows
from workers.sweepers.workflow_recovery import recover_workflows
from workflows.ids import late_payment_workflow_id

pytestmark = pytest.mark.disruptive

BOTH_WAYS = [("B-1-1", "A-1-1", 5000), ("A-1-1", "B-1-1", 4000)]  # to a dearer and to a cheaper seat


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(settings.database_url("reservation"), pool_size=4, serves_callers=False)
    yield opened
    await opened.dispose()


class Ordered:
    """A requested exchange of B-1-1 for another seat."""

    def __init__(self, platform: PlatformClient, buyer: Buyer, booking: dict[str, Any], new: str) -> None:
        self.platform, self.buyer, self.booking, self.new, self.key = platform, buyer, booking, new, str(uuid4())
        # A repeated call would start the workflow anew that a test has terminated.
        self.order = asyncio.create_task(self.by(buyer.at(platform.hasty)))

    async def by(self, buyer: Buyer) -> httpx2.Response:
        [old] = self.booking["tickets"]
        return await buyer.exchange(self.booking["id"], old["id"], self.new, key=self.key)

    async def exists(self) -> dict[str, Any] | None:
        found = await self.buyer.exchanges(self.booking["id"])
        return found[0] if found else None

    async def is_committed(self) -> bool:
        now = await self.exists()
        return now is not None and now["state"] == "committed"

    async def is_completed(self) -> None:
        """Repeat the call with the same key until it succeeds."""
        assert (await self.order).status_code in (200, 503)
        assert (await self.by(self.buyer)).status_code == 200
        assert await self.platform.provider.kept(self.booking["id"]) == 5000


@pytest.mark.thorough
async def test_workers_killed_after_the_seat_swap_refund_the_difference_once(
    platform: PlatformClient, stack: Stack
) -> None:
    event, buyer, booking = await bought(platform, "A-1-1")
    order = asyncio.create_task(buyer.exchange(booking["id"], booking["tickets"][0]["id"], "B-1-1", method=None))

    async def is_swapped() -> bool:
        return bool((await buyer.booking(booking["id"]))["seats"] == ["B-1-1"])

    await eventually(is_swapped, every=0.002)
    async with without(stack, "work"):
        pass
    assert (await order).status_code == 200

    async def is_paid_back() -> bool:
        now = await buyer.booking(booking["id"])
        return (now["status"], now["refunded"]) == ("confirmed", 1000)

    await eventually(is_paid_back, within=90)
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")
    assert [each["status"] for each in await platform.provider.refunds(booking["id"])] == ["succeeded"]


async def test_an_outage_during_the_capture_of_a_difference_waits_for_an_operator(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    await platform.provider.will("429", "capture", booking["id"], retry_after=5)
    ordered = Ordered(platform, buyer, booking, "A-1-1")
    await eventually(ordered.is_committed, every=0.01)
    exchange = await ordered.exists()
    assert exchange
    saga = platform.exchange_saga(exchange["id"])
    async with locked_out(settings):

        async def is_parked() -> bool:
            shown = {pair.key.name: pair.value for pair in (await saga.describe()).typed_search_attributes}
            return bool(shown["SeatwrightStatus"] == "needs_attention")

        await eventually(is_parked, within=60)
    await saga.execute_update("operate", "retry")
    await ordered.is_completed()
    await sits(platform, buyer, event, booking, on="A-1-1", not_on="B-1-1")
    assert not (await buyer.exchanges(booking["id"]))[0]["needs_attention"]


async def revived(platform: PlatformClient, engine: AsyncEngine, settings: Settings, exchange: str) -> None:
    """Wait until workflow recovery has started the workflow again."""
    at_once = booking_policy(settings).model_copy(update={"payment_window": timedelta(0)})

    async def is_revived() -> bool:
        await recover_workflows(engine, platform.temporal, at_once, overdue=timedelta(0))
        return bool((await platform.exchange_saga(exchange).describe()).status != 5)  # terminated

    await eventually(is_revived)


async def test_an_exchange_terminated_while_the_buyer_pays_is_undone(
    platform: PlatformClient, engine: AsyncEngine, settings: Settings
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS)
    await platform.exchange_saga(exchange["id"]).terminate("by mistake")
    await platform.provider.act(exchange["next_action"]["url"], "approve")
    await revived(platform, engine, settings, exchange["id"])
    await exchange_is(buyer, exchange, "failed")
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")
    assert await platform.provider.kept(booking["id"]) == 4000


@pytest.mark.thorough
async def test_an_exchange_terminated_during_the_capture_is_completed(
    platform: PlatformClient, engine: AsyncEngine, settings: Settings
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    await platform.provider.will("slow", "capture", booking["id"], delay_seconds=SLOW)
    ordered = Ordered(platform, buyer, booking, "A-1-1")
    await eventually(ordered.is_committed, every=0.01)
    exchange = await ordered.exists()
    assert exchange
    await platform.exchange_saga(exchange["id"]).terminate("by mistake")
    await revived(platform, engine, settings, exchange["id"])
    await exchange_is(buyer, exchange, "completed")
    await ordered.is_completed()
    await sits(platform, buyer, event, booking, on="A-1-1", not_on="B-1-1")


async def test_to_abandon_an_exchange_whose_saga_is_lost_is_no_success(
    platform: PlatformClient, engine: AsyncEngine, settings: Settings
) -> None:
    _, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS)
    await platform.exchange_saga(exchange["id"]).terminate("by mistake")
    path = f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}"

    told = await buyer.at(platform.hasty).delete(path)

    assert refused_as(told) == (503, "outcome-unknown")
    await revived(platform, engine, settings, exchange["id"])
    await exchange_is(buyer, exchange, "failed")
    assert (await buyer.delete(path)).status_code == 200


async def test_the_money_of_an_open_exchange_is_not_treated_as_a_late_payment(
    platform: PlatformClient, engine: AsyncEngine, settings: Settings
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    # Tries that fail only after a while: the saga is to be terminated before it has given up.
    await platform.provider.will("timeout_before", "capture", booking["id"], times=1000)
    ordered = Ordered(platform, buyer, booking, "A-1-1")
    await eventually(ordered.is_committed, every=0.01)
    exchange = await ordered.exists()
    assert exchange
    await platform.exchange_saga(exchange["id"]).terminate("by mistake")
    await platform.provider.clear_faults(booking["id"])
    # As a webhook leaves it that came while the buyer had to act, and found no saga a moment later.
    watched = "UPDATE attempts SET watched = true WHERE exchange_id = %s RETURNING intent_id"
    [(intent,)] = rows(settings, watched, exchange["id"])
    late = platform.temporal.get_workflow_handle(late_payment_workflow_id(intent))

    async def waits() -> bool:
        try:
            steps = [step async for step in late.fetch_history_events()]
        except RPCError:
            return False  # it is yet to be started
        return any(step.HasField("timer_started_event_attributes") for step in steps)

    await eventually(waits)
    assert await platform.provider.kept(booking["id"]) == 5000

    await revived(platform, engine, settings, exchange["id"])

    await ordered.is_completed()
    assert await late.result() is None
    await sits(platform, buyer, event, booking, on="A-1-1", not_on="B-1-1")
    assert await platform.provider.kept(booking["id"]) == 5000


@pytest.mark.parametrize(("old", "new", "kept"), sample(BOTH_WAYS, 1, of="exchanges that are reset"))
async def test_a_reset_exchange_moves_money_and_seats_once(
    platform: PlatformClient, old: str, new: str, kept: int
) -> None:
    event, buyer, booking = await bought(platform, old)
    exchange = await exchanged(buyer, booking, old, new)
    await platform.exchange_saga(exchange["id"]).result()
    await platform.reset(platform.exchange_saga(exchange["id"]))
    await platform.exchange_saga(exchange["id"]).result()

    async def is_confirmed() -> bool:
        return await buyer.status(booking["id"]) == "confirmed"

    await eventually(is_confirmed, within=60)
    await sits(platform, buyer, event, booking, on=new, not_on=old)
    assert await platform.provider.kept(booking["id"]) == kept
    assert ticket_of(await buyer.booking(booking["id"]), new) == exchange["new_ticket"]


async def reset_to_second_task(platform: PlatformClient, saga: WorkflowHandle[Any, Any]) -> None:
    """Reset an exchange that has ended to the task after its authorization, which knows its hold from before."""
    await saga.result()
    steps = [step async for step in saga.fetch_history_events()]
    completed = [step.event_id for step in steps if step.HasField("workflow_task_completed_event_attributes")]
    await platform.reset(saga, task=completed[1])


async def test_an_exchange_that_is_reset_to_after_its_hold_keeps_seat_and_money(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await exchanged(buyer, booking, "B-1-1", "A-1-1")
    saga = platform.exchange_saga(exchange["id"])

    await reset_to_second_task(platform, saga)
    await in_time(saga.result(), within=60)

    await sits(platform, buyer, event, booking, on="A-1-1", not_on="B-1-1")
    assert await platform.provider.kept(booking["id"]) == 5000


@pytest.mark.thorough
async def test_an_exchange_completes_without_redis_and_frees_the_old_seat_later(
    platform: PlatformClient, stack: Stack
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    await platform.provider.will("slow", "capture", booking["id"], delay_seconds=2)
    ordered = Ordered(platform, buyer, booking, "A-1-1")
    await eventually(ordered.is_committed, every=0.01)
    async with without(stack, "redis"):
        await exchange_is(buyer, await ordered.exists() or {}, "completed")
    await ordered.is_completed()

    async def can_be_bought() -> bool:
        return (await platform.new_buyer().hold(event, "B-1-1")).status_code == 201

    await eventually(can_be_bought, within=30)
    assert (await platform.new_buyer().hold(event, "A-1-1")).status_code == 409
