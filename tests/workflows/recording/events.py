"""How an event goes on sale, and how it is cancelled: two pages of bookings, and a refund that is pending at first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

from temporalio.client import WorkflowHistory

from api.catalogue import changes
from config.settings import Settings
from domain.catalogue import EventChange
from temporal.encryption import data_converter
from tests.platform_client import PlatformClient
from tests.waiting import eventually
from tests.workflows.cancelling import OneBooking, RefusedRefund
from tests.workflows.recording.shared import ended
from tests.workflows.refunds_in_vain import cancelling
from tests.workflows.skipping import time_skipping
from workflows.event_cancellation import CancelEvent
from workflows.ids import event_cancellation_workflow_id


async def record(platform: PlatformClient) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """Yield the name of each run, and its history."""
    event, buyer = await platform.draft(standing=60), platform.new_buyer()
    await changes.publish(platform.temporal, EventChange(event_id=UUID(event)))
    yield "event-published", await ended(platform, f"publish-{event}")
    bookings = [await buyer.bought(event, quantities={"Standing": 1}) for _ in range(52)]
    slow = str(bookings[0]["id"])
    await platform.provider.will("processing", "refund", slow)
    await buyer.held(event, "A-1-1")
    await platform.cancel(event, dry_run=True)
    yield "event-cancellation-estimated", await ended(platform, f"estimate-cancellation-{event}")
    await platform.cancel(event)

    async def only_one_is_left() -> bool:
        return bool((await platform.cancellation(event))["progress"]["refunded"] == 51)

    await eventually(only_one_is_left, within=120)
    [left] = await platform.provider.refunds(slow)
    await platform.provider.decide(left["id"], "succeeded")

    async def is_over() -> bool:
        return bool((await platform.cancellation(event))["finished_at"])

    await eventually(is_over, within=120)
    first, second, *_, last = await _runs(platform, event)
    yield "event-cancellation-first-run", first
    yield "event-cancellation-second-run", second
    yield "event-cancellation-last-run", last
    async for recorded in _of_a_version(platform):
        yield recorded
    async for recorded in _of_refunds_in_vain(platform.settings):
        yield recorded


async def _of_refunds_in_vain(settings: Settings) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """The run that asks operators for help, and the run that no longer does."""
    event = OneBooking()
    async with time_skipping(data_converter(settings)) as server, cancelling(server, event, RefusedRefund) as saga:
        await server.sleep(timedelta(minutes=5))
        event.is_paid_back = True
        await saga.result()
        run: str | None = (await saga.describe()).run_id
        flagged = []
        while run:
            history = await server.client.get_workflow_handle(saga.id, run_id=run).fetch_history()
            if any(each.HasField("upsert_workflow_search_attributes_event_attributes") for each in history.events):
                flagged.append(history)
            started = history.events[0].workflow_execution_started_event_attributes
            run = started.continued_execution_run_id or None
    last, first = flagged
    yield "event-cancellation-that-asks-for-help", first
    yield "event-cancellation-that-needs-no-help-any-more", last


async def _of_a_version(platform: PlatformClient) -> AsyncIterator[tuple[str, WorkflowHistory]]:
    """A cancellation that names the version that was read, and one whose version has changed since."""
    for name, version in (("of-the-version-that-was-read", 2), ("refused-for-another-version", 1)):
        event = await platform.event()
        command = CancelEvent(event_id=UUID(event), requested_by=UUID(int=1), attempts=4, if_version=version)
        await changes.cancel(platform.temporal, command, again=False)
        yield f"event-cancellation-{name}", await ended(platform, event_cancellation_workflow_id(UUID(event)))


async def _runs(platform: PlatformClient, event: str) -> list[WorkflowHistory]:
    id = event_cancellation_workflow_id(UUID(event))
    runs = [found async for found in platform.temporal.list_workflows(f"WorkflowId = '{id}'")]
    runs.sort(key=lambda run: run.start_time)
    return [await platform.temporal.get_workflow_handle(id, run_id=run.run_id).fetch_history() for run in runs]
