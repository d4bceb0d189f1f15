"""Each way of a refund."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from temporalio.client import WorkflowHistory

from tests.box_office import BoxOffice
from tests.buyer import Buyer
from tests.waiting import eventually
from tests.workflows.recording.shared import ended, refused


async def record(office: BoxOffice) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each way, and its history."""
    event, buyer = await office.event(), office.somebody()
    bookings = [await buyer.bought(event, f"A-1-{number}", f"A-2-{number}") for number in range(1, 7)]
    whole, failing, stuck, by_hand, pending, twice = (str(booking["id"]) for booking in bookings)
    yield "refund-succeeded", await ended(office, await _refund(buyer, whole))
    await office.provider.will("decline", "refund", failing)
    yield "refund-succeeded-at-its-second-try", await ended(office, await _refund(buyer, failing))
    yield "refund-succeeded-after-an-operators-retry", await _operated(office, buyer, stuck, "retry")
    yield "refund-made-by-an-operator", await _operated(office, buyer, by_hand, "resolve")
    yield "refund-succeeded-after-it-was-pending", await _pending(office, buyer, pending)
    yield "refund-made-again", await _taken_back(office, whole)
    await asyncio.gather(*(buyer.refund(twice) for _ in range(8)))
    yield "refund-refused-because-its-tickets-were-void", await refused(office, event, "Refund")


async def _refund(buyer: Buyer, booking: str) -> str:
    return f"refund-{(await buyer.refund(booking)).json()['id']}"


async def _becomes(buyer: Buyer, booking: str, state: str) -> None:
    async def is_there() -> bool:
        return bool((await buyer.refunds(booking))[-1]["state"] == state)

    await eventually(is_there, within=60)


async def _operated(office: BoxOffice, buyer: Buyer, booking: str, action: str) -> WorkflowHistory:
    await office.provider.will("decline", "refund", booking, times=3)
    refund = await _refund(buyer, booking)
    await _becomes(buyer, booking, "needs_attention")
    if action == "resolve":
        await office.refund_by_hand(booking)
    await office.temporal.get_workflow_handle(refund).execute_update("operate", action)
    return await ended(office, refund)


async def _pending(office: BoxOffice, buyer: Buyer, booking: str) -> WorkflowHistory:
    await office.provider.will("processing", "refund", booking)
    refund = await _refund(buyer, booking)
    [left] = await eventually(lambda: office.provider.refunds(booking))
    await office.provider.decide(left["id"], "succeeded")
    return await ended(office, refund)


async def _taken_back(office: BoxOffice, booking: str) -> WorkflowHistory:
    """The provider calls a refund failed that it called succeeded before; its notification starts the workflow."""
    [given] = await office.provider.refunds(booking)
    await office.provider.decide(given["id"], "failed")

    async def started() -> str | None:
        query = f"WorkflowType = 'RefundTakenBack' AND StartTime > '{_a_minute_ago()}'"
        return next(iter([found.id async for found in office.temporal.list_workflows(query)]), None)

    return await ended(office, await eventually(started, within=60))


def _a_minute_ago() -> str:
    return (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
