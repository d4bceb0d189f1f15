"""Runs the cancellation of an event whose one booking cannot be refunded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from domain.event_cancellations import Failing
from temporal import queues
from tests.workflows.cancelling import OneBooking
from tests.workflows.sandbox import WORKFLOW_RUNNER
from workers.temporal.worker import methods_of
from workflows.event_cancellation import CancelEvent, EventCancellation
from workflows.ids import event_cancellation_workflow_id


@asynccontextmanager
async def cancelling(
    environment: WorkflowEnvironment,
    event: OneBooking,
    refund: type,
    failing: Failing | None = None,
    *,
    begins: bool = False,
) -> AsyncIterator[WorkflowHandle[Any, Any]]:
    """Run the cancellation, whose sales have stopped unless it `begins`."""
    id = uuid4()
    command = CancelEvent(
        event_id=id, requested_by=uuid4(), attempts=1, sales_are_stopped=not begins, failing=failing or Failing()
    )
    async with (
        Worker(environment.client, task_queue=queues.CATALOGUE, activities=methods_of(event)),
        Worker(
            environment.client,
            task_queue=queues.RESERVATION,
            workflows=[EventCancellation, refund],
            activities=methods_of(event),
            workflow_runner=WORKFLOW_RUNNER,
        ),
    ):
        yield await environment.client.start_workflow(
            EventCancellation.run, command, id=event_cancellation_workflow_id(id), task_queue=queues.RESERVATION
        )
