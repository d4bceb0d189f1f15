"""What every start of a saga has to say."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from temporalio.common import TypedSearchAttributes, WorkflowIDReusePolicy


class StartOptions(TypedDict):
    """How a saga is started, by a client or as a child of another workflow."""

    id: str
    task_queue: str
    task_timeout: timedelta
    id_reuse_policy: WorkflowIDReusePolicy
    search_attributes: TypedSearchAttributes
    static_summary: str
