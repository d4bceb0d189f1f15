"""Starting a saga, or attaching to the one that runs, in the same call as its first update."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypedDict, TypeVar

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import TypedSearchAttributes, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.workflow import UpdateMethodMultiParam

Request = TypeVar("Request")
Result = TypeVar("Result")


class StartOptions(TypedDict):
    """How a saga is started, by a client or as a child of another workflow."""

    id: str
    task_queue: str
    task_timeout: timedelta
    id_reuse_policy: WorkflowIDReusePolicy
    search_attributes: TypedSearchAttributes
    static_summary: str


async def start_or_attach(
    client: Client,
    run: Callable[[Any, Request], Awaitable[Any]],
    request: Request,
    options: StartOptions,
    update: UpdateMethodMultiParam[..., Result],
    *,
    args: Sequence[Any] = (),
    update_id: str | None = None,
) -> Result:
    """Start the saga unless it runs already, send it an update, and return the update's answer.

    Args:
        client: Of the namespace in which the saga runs.
        run: The workflow's run method.
        request: What the saga starts with.
        options: From `workflows.ids`, so that all callers start it in the same way.
        update: The update's method.
        args: The update's arguments.
        update_id: Calls with the same id share one answer; None for one of its own.

    Raises:
        WorkflowAlreadyStartedError: The saga has ended, and may not be started again.
    """
    start = WithStartWorkflowOperation(
        run, request, id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING, **options
    )
    started = asyncio.ensure_future(start.workflow_handle())
    try:
        return await client.execute_update_with_start_workflow(
            update, args=args, id=update_id, start_workflow_operation=start
        )
    finally:
        started.cancel()  # it fails as the update does; a failure that is never read would be logged
