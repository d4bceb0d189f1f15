"""A decision whose outcome Temporal does not tell is reported as unknown, and never as refused."""

from __future__ import annotations

from uuid import uuid4

import pytest
from temporalio.client import Client

from cli import operate
from cli.operate import event_app, late_payment_app
from tests.command_line import seatwright
from tests.platform_client import PlatformClient
from workflows.ids import event_cancellation_workflow_id, late_payment_workflow_id


async def without_worker(temporal: Client, workflow_id: str) -> None:
    """Start a workflow that no worker runs, so it answers nothing."""
    await temporal.start_workflow("Unserved", id=workflow_id, task_queue=f"unserved-{uuid4()}")


async def test_an_operator_learns_that_an_outcome_is_unknown_and_to_look_before_a_repetition(
    platform: PlatformClient, stack_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operate, "_LONGEST_WAIT", 2.0)
    intent, event = f"pi_{uuid4().hex}", uuid4()
    for workflow_id, app, arguments in (
        (late_payment_workflow_id(intent), late_payment_app, ("operate", intent, "retry")),
        (event_cancellation_workflow_id(event), event_app, ("pause", str(event))),
    ):
        await without_worker(platform.temporal, workflow_id)
        printed = await seatwright(app, stack_env, *arguments, exit_code=2)
        await platform.temporal.get_workflow_handle(workflow_id).terminate("the test is over")
        assert printed.startswith("unknown: Temporal does not say whether")
        assert "Look at the workflow before you repeat the command." in printed
