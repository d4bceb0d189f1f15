"""Tells a workflow that its payment provider has something new, so that it asks the provider now."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.http.deadlines import with_deadline


async def notify_workflow(temporal: Client, workflow_id: str) -> bool:
    """Have the workflow ask the provider now; False where no such workflow runs.

    Raises:
        TimeoutError: Temporal does not answer in time.
        RPCError: Temporal cannot be reached.
    """
    try:
        await with_deadline(temporal.get_workflow_handle(workflow_id).signal("provider_has_news"))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True
