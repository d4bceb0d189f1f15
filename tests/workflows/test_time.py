"""Hours pass in a moment: the booking's timers on Temporal's time-skipping server, with the real activities."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.reservation.bookings import ReservationActivities
from adapters.redis.hold_quota import UNLIMITED, HoldQuota
from adapters.redis.seat_locks import SeatLocks
from config.settings import Settings
from db.engine import open_engine
from domain.bookings import Booking, BookingRequest, BookingStatus, OperatorAction
from temporal import queues
from tests.platform_client import PlatformClient
from tests.workflows.failing import FailingWorkflow
from tests.workflows.sandbox import WORKFLOW_RUNNER
from tests.workflows.skipping import time_skipping
from workers.temporal.worker import methods_of
from workflows.booking import BookingWorkflow
from workflows.ids import booking_workflow_id


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with time_skipping(pydantic_data_converter) as environment:
        yield environment


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(settings.database_url("reservation"), pool_size=4, serves_callers=False)
    yield opened
    await opened.dispose()


async def test_an_hour_of_holding_ends_by_the_workflows_timer(
    skipping: WorkflowEnvironment, engine: AsyncEngine, settings: Settings, platform: PlatformClient
) -> None:
    event = await platform.event(hold_seconds=3600)
    request = BookingRequest(
        id=uuid4(),
        user_id=uuid4(),
        event_id=UUID(event),
        seats=("A-1-1",),
        quantities={"Standing": 2},
        body_sha256="0" * 64,
        hold_seconds=3600,
    )
    async with (
        Redis.from_url(settings.redis_url.get_secret_value()) as redis,
        Worker(
            skipping.client,
            task_queue=queues.RESERVATION,
            workflows=[BookingWorkflow],
            activities=methods_of(
                ReservationActivities(engine, SeatLocks(redis), HoldQuota(redis, UNLIMITED), timedelta(minutes=10))
            ),
            workflow_runner=WORKFLOW_RUNNER,
        ),
    ):
        before = await skipping.get_current_time()
        booking = await skipping.client.execute_workflow(
            BookingWorkflow.run, request, id=booking_workflow_id(request.id), task_queue=queues.RESERVATION
        )
        passed = await skipping.get_current_time() - before
    assert isinstance(booking, Booking)
    assert booking.status is BookingStatus.EXPIRED
    assert timedelta(minutes=59) < passed < timedelta(minutes=61)
    assert await platform.seat(event, "A-1-1") == "available"


async def test_a_saga_parked_for_weeks_retries_by_itself_and_its_history_stays_short(
    skipping: WorkflowEnvironment,
) -> None:
    failures = 7 * 24 // 4 * 6
    async with Worker(
        skipping.client, task_queue="parked", workflows=[FailingWorkflow], workflow_runner=WORKFLOW_RUNNER
    ):
        saga = await skipping.client.start_workflow(FailingWorkflow.run, failures, id=str(uuid4()), task_queue="parked")
        rests = await saga.result()
        events = len((await saga.fetch_history()).events)
    assert [round(rest / timedelta(minutes=1)) for rest in rests[:7]] == [10, 20, 40, 80, 160, 240, 240]
    assert sum(rests, timedelta()) > timedelta(weeks=5)
    assert events < 2000


async def test_after_an_operators_retry_a_parked_saga_waits_ten_minutes_again(skipping: WorkflowEnvironment) -> None:
    async with Worker(
        skipping.client, task_queue="parked", workflows=[FailingWorkflow], workflow_runner=WORKFLOW_RUNNER
    ):
        saga = await skipping.client.start_workflow(FailingWorkflow.run, 5, id=str(uuid4()), task_queue="parked")
        await skipping.sleep(timedelta(minutes=45))
        await saga.execute_update(FailingWorkflow.operate, OperatorAction.RETRY)
        rests = await saga.result()
    assert [round(rest / timedelta(minutes=1)) for rest in rests] == [10, 20, 15, 10, 20]
