"""The log lines of Temporal's SDK: structured fields like ours, also those of its core, which is no Python code."""

from __future__ import annotations

import logging
from functools import cache

from temporalio import activity, workflow
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

FORWARDING = LogForwardingConfig(
    logger=logging.getLogger("temporalio.core"), prepend_target_on_message=False, append_log_fields_to_message=False
)


@cache
def runtime() -> Runtime:
    """Return the process's runtime, whose log lines pass through `logging`, with their fields as fields."""
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False
    lines = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=FORWARDING)
    return Runtime(telemetry=TelemetryConfig(logging=lines))
