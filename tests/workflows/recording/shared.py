"""What all recordings need: where histories are kept, and how one is read from Temporal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from api.http.sagas import start_or_attach
from tests.platform_client import PlatformClient
from tests.scenarios.test_refusals import WORKFLOWS, a_scene
from tests.waiting import eventually
from workflows.booking import BookingWorkflow
from workflows.exchange import ExchangeWorkflow
from workflows.refund import RefundWorkflow

HISTORIES = Path(__file__).parents[2] / "histories"


async def ended(platform: PlatformClient, workflow_id: str) -> WorkflowHistory:
    """The history of a workflow, once it has ended."""
    handle = platform.temporal.get_workflow_handle(workflow_id)

    async def has_ended() -> bool:
        try:
            return (await handle.describe()).close_time is not None
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False  # a late payment's workflow starts with the provider's notification

    await eventually(has_ended, within=120, every=0.5)
    return await handle.fetch_history()


async def refused(platform: PlatformClient, what: str) -> WorkflowHistory:
    """The history of a request that is possible no more when it comes to its workflow."""
    scene = await a_scene(platform)
    request, options = scene.impossible(what)
    update, args = _ANSWERS[what]
    run = WORKFLOWS[what]
    await start_or_attach(platform.temporal, run, request, options, update, args=args, about={}, wait=30)
    return await ended(platform, options["id"])


_ANSWERS: dict[str, tuple[Any, list[str]]] = {
    "hold": (BookingWorkflow.hold, ["a call"]),
    "refund": (RefundWorkflow.accepted, []),
    "exchange": (ExchangeWorkflow.answered, []),
}


async def reset(platform: PlatformClient, workflow_id: str) -> WorkflowHistory:
    """The history of a workflow's next run, after it was reset to its beginning."""
    await platform.reset(platform.temporal.get_workflow_handle(workflow_id))
    return await ended(platform, workflow_id)


def write(name: str, history: WorkflowHistory) -> None:
    """Keep a history, without stack traces: they name the paths of one machine, and a replay does not read them."""
    portable = re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', history.to_json())
    (HISTORIES / f"{name}.json").write_text(portable)
