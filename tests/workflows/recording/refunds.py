"""Each way of a refund."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from temporalio.client import WorkflowHistory

from config.settings import Settings
from tests.buyer import Buyer
from tests.platform_client import PlatformClient
from tests.scenarios.test_attention import SLOW, locked_out
from tests.scenarios.test_refund_crashes import finds_it_running, has_failed, is_parked
from tests.waiting import eventually
from tests.workflows.recording.shared import ended, refused, reset
from workflows.ids import refund_taken_back_workflow_id


async def record(platform: PlatformClient, settings: Settings) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    event, buyer = await platform.event(), platform.new_buyer()
    bookings = [await buyer.bought(event, f"A-1-{number}", f"A-2-{number}") for number in range(1, 8)]
    whole, failing, stuck, by_hand, pending, again, unsettled = (str(booking["id"]) for booking in bookings)
    yield "refund-succeeded", await ended(platform, await _refund(buyer, whole))
    await platform.provider.will("decline", "refund", failing)
    yield "refund-succeeded-at-its-second-try", await ended(platform, await _refund(buyer, failing))
    yield "refund-succeeded-after-an-operators-retry", await _operated(platform, buyer, stuck, "retry")
    yield "refund-made-by-an-operator", await _operated(platform, buyer, by_hand, "resolve")
    yield "refund-succeeded-after-it-was-pending", await _pending(platform, buyer, pending)
    yield "refund-made-again-and-checked-afterwards", await _taken_back(platform, whole)
    made_again = await _unsettled(platform, buyer, unsettled, settings)
    yield "refund-made-again-after-its-workflow-had-ended-and-checked-afterwards", made_again
    yield "refund-refused", await refused(platform, "refund")
    done = await _refund(buyer, again)
    await ended(platform, done)
    yield "refund-reset-after-it-succeeded", await reset(platform, done)


async def _refund(buyer: Buyer, booking: str) -> str:
    return f"refund-{(await buyer.refund(booking)).json()['id']}"


async def _becomes(buyer: Buyer, booking: str, state: str) -> None:
    async def is_there() -> bool:
        return bool((await buyer.refunds(booking))[-1]["state"] == state)

    await eventually(is_there, within=60)


async def _operated(platform: PlatformClient, buyer: Buyer, booking: str, action: str) -> WorkflowHistory:
    await platform.provider.will("decline", "refund", booking, times=3)
    refund = await _refund(buyer, booking)
    await _becomes(buyer, booking, "needs_attention")
    if action == "resolve":
        await platform.refund_by_hand(booking)
    await platform.temporal.get_workflow_handle(refund).execute_update("operate", action)
    return await ended(platform, refund)


async def _pending(platform: PlatformClient, buyer: Buyer, booking: str) -> WorkflowHistory:
    await platform.provider.will("processing", "refund", booking)
    refund = await _refund(buyer, booking)
    [left] = await eventually(lambda: platform.provider.refunds(booking))
    await platform.provider.decide(left["id"], "succeeded")
    return await ended(platform, refund)


async def _taken_back(platform: PlatformClient, booking: str) -> WorkflowHistory:
    """The provider calls a refund failed that it called succeeded before; its notification starts the workflow."""
    [given] = await platform.provider.refunds(booking)
    await platform.provider.decide(given["id"], "failed")

    async def started() -> str | None:
        query = f"WorkflowType = 'RefundTakenBack' AND StartTime > '{_a_minute_ago()}'"
        return next(iter([found.id async for found in platform.temporal.list_workflows(query)]), None)

    return await ended(platform, await eventually(started, within=60))


async def _unsettled(platform: PlatformClient, buyer: Buyer, booking: str, settings: Settings) -> WorkflowHistory:
    """The provider takes a refund back that could not be settled yet, so that its workflow runs."""
    await platform.provider.will("slow", "refund", booking, delay_seconds=SLOW)
    refund = await _refund(buyer, booking)
    id = refund.removeprefix("refund-")
    async with locked_out(settings):
        await eventually(lambda: is_parked(platform, id), within=60)
        [given] = await platform.provider.refunds(booking)
        await platform.provider.decide(given["id"], "failed")
        await eventually(lambda: has_failed(settings, id), within=60)
    await eventually(lambda: finds_it_running(platform, id), within=60)
    await platform.refund_saga(id).execute_update("operate", "retry")
    return await ended(platform, refund_taken_back_workflow_id(UUID(id)))


def _a_minute_ago() -> str:
    return (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
