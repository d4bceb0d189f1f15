"""Temporal's sandbox, in which the tests run workflow code: it refuses what would not replay."""

from __future__ import annotations

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

WORKFLOW_RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "activities",
        "adapters",
        "db",
        "domain",
        "temporal",
        "sqlalchemy",
        "redis",
        "psycopg",
        "opentelemetry",
        "stripe",
    )
)
