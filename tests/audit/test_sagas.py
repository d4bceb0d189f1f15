"""With each guard of sagas broken, the audit names the booking that does not finish or has another state."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from audit import queries
from audit.invariants.sagas import MANY_TRIES, may_have_become
from config.settings import Settings
from domain.bookings import Booking, BookingStatus
from temporal.encryption import data_converter
from tests.audit.harness import Harness
from tests.waiting import eventually
from workflows.ids import event_cancellation_workflow_id, provider_refunds_workflow_id, refund_taken_back_workflow_id

FINISHED, WINDOW, AGREE, FAILING = (
    "every open booking has a running saga",
    "no booking outlasts its window",
    "temporal and postgres agree",
    "no saga fails for ever",
)
AUTHORIZED = "no money stays authorized"


@workflow.defn(name="Booking", sandboxed=False)
class Mistaken:
    """A saga that always completes as confirmed."""

    @workflow.run
    async def run(self, booking: Booking) -> Booking:
        return booking.model_copy(update={"status": BookingStatus.CONFIRMED})


@workflow.defn(dynamic=True, sandboxed=False)
class Failing:
    """A saga of any type whose task fails: its code has a fault."""

    @workflow.run
    async def run(self, given: Sequence[RawValue]) -> None:
        raise RuntimeError("a step that this worker does not know")


async def test_an_open_booking_with_a_terminated_saga_is_found(harness: Harness) -> None:
    booking = await harness.held("A-1-1")
    saga = await harness.saga(booking)
    assert await harness.finds() == set()
    await saga.terminate()
    await harness.listed(f"WorkflowId = '{saga.id}' AND ExecutionStatus = 'Terminated'")
    await harness.sql("reservation", "UPDATE bookings SET updated_at = now() - interval '3 seconds'")
    assert await harness.finds() == {(FINISHED, str(booking.id))}


async def test_a_saga_whose_task_fails_again_and_again_is_found(harness: Harness, settings: Settings) -> None:
    booking, ended = await harness.authorized("A-1-1"), await harness.cancelled("A-1-2")
    client = await Client.connect(settings.temporal_address, data_converter=data_converter(settings))
    async with Worker(
        client, task_queue=harness.prefix, workflows=[Failing], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        saga, late = await harness.saga(booking), await harness.late_payment(ended)
        cancelling = await harness.idle("EventCancellation", event_cancellation_workflow_id(harness.event), None)
        checking = [
            await harness.idle("RefundTakenBack", refund_taken_back_workflow_id(uuid4()), None),
            await harness.idle("ProviderRefunds", provider_refunds_workflow_id(booking.id), None),
        ]

        async def were_tried_often() -> bool:
            told = [await each.describe() for each in (saga, late, cancelling, *checking)]
            return all(each.raw_description.pending_workflow_task.attempt >= MANY_TRIES for each in told)

        await eventually(were_tried_often, within=120)
        found = await harness.finds()
        assert {subject for invariant, subject in found if invariant == FAILING} == {
            str(booking.id), str(ended.id), cancelling.id,
        }  # fmt: skip
        tried = await queries.failing_tasks(harness.connections._replace(event_ids=None))
        assert all(tried[each.id] >= MANY_TRIES for each in (cancelling, *checking))


@pytest.mark.parametrize("shows", [None, BookingStatus.PAYING], ids=["from the start", "after an outage"])
async def test_a_lost_saga_is_found_while_a_late_payment_watches(harness: Harness, shows: BookingStatus | None) -> None:
    booking = await harness.authorized("A-1-1")
    await harness.late_payment(booking, shows=shows)
    await harness.sql("reservation", "UPDATE bookings SET updated_at = now() - interval '3 seconds'")
    assert await harness.finds() == {(FINISHED, str(booking.id)), (AUTHORIZED, str(booking.id))}
    assert await queries.excused(harness.connections) == {}


async def test_the_late_payment_that_brings_a_booking_back_is_its_saga(harness: Harness) -> None:
    booking = await harness.reinstated("A-1-1")
    late = await harness.late_payment(booking)
    await harness.authorize(booking)
    await harness.sql("reservation", "UPDATE bookings SET updated_at = now() - interval '3 seconds'")
    told = await harness.relay()
    harness.notify()
    await harness.analyse(told)
    assert await harness.finds() == set()
    assert await queries.excused(harness.connections) == {"paying": 1}
    await late.terminate()
    await harness.listed(f"WorkflowId = '{late.id}' AND ExecutionStatus = 'Terminated'")
    assert await harness.finds() == {(FINISHED, str(booking.id)), (AUTHORIZED, str(booking.id))}


async def test_a_hold_that_no_timer_ends_is_found(harness: Harness) -> None:
    await harness.sql("reservation", "ALTER TABLE events DROP CONSTRAINT events_hold_seconds_check")
    await harness.sql("reservation", "UPDATE events SET hold_seconds = -90")
    booking = await harness.held("A-1-1")
    await harness.saga(booking)
    await harness.sql("reservation", "UPDATE bookings SET updated_at = expires_at")
    assert await harness.finds() == {(WINDOW, str(booking.id))}


async def test_a_payment_that_no_window_ends_is_found(harness: Harness) -> None:
    booking = await harness.authorized("A-1-1")
    await harness.saga(booking)
    await harness.sql("reservation", "UPDATE bookings SET updated_at = now() - interval '7 minutes'")
    assert await harness.finds() == {(WINDOW, str(booking.id))}


async def test_a_saga_that_shows_another_state_is_found(harness: Harness) -> None:
    booking = await harness.authorized("A-1-1")
    await harness.saga(booking, shows=BookingStatus.CANCELLED)
    assert await harness.finds() == {(AGREE, str(booking.id))}


async def test_a_saga_that_has_ended_otherwise_than_its_booking_is_found(harness: Harness, settings: Settings) -> None:
    booking = await harness.cancelled("A-1-1")
    client = await Client.connect(settings.temporal_address, data_converter=data_converter(settings))
    async with Worker(
        client, task_queue=harness.prefix, workflows=[Mistaken], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        saga = await harness.saga(booking, shows=BookingStatus.CONFIRMED)
        await saga.result()
        await harness.listed(f"WorkflowId = '{saga.id}' AND ExecutionStatus = 'Completed'")
    assert await harness.finds() == {(AGREE, str(booking.id))}


@pytest.mark.parametrize(
    ("ended_as", "status", "is_possible"),
    [
        ("confirmed", "confirmed", True),
        ("confirmed", "refunded", True),
        ("confirmed", "failed", False),
        ("expired", "confirmed", True),
        ("expired", "cancelled", False),
        ("refunding", "refunded", True),
        ("refunding", "partially_refunded", True),
        ("refunding", "confirmed", True),
        ("refunding", "expired", False),
        ("partially_refunded", "refunding", True),
        ("partially_refunded", "confirmed", False),
        ("refunded", "refunding", True),
        ("refunded", "confirmed", False),
        ("cancelled", "confirmed", False),
        ("failed", "refunded", False),
        ("refused", "held", False),
        (None, "held", False),
    ],
)
def test_a_booking_may_have_changed_since_its_workflow_ended(
    ended_as: str | None, status: str, is_possible: bool
) -> None:
    assert may_have_become(ended_as, status) is is_possible
