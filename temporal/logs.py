"""What Temporal's SDK tells: log lines with fields like ours, also those of its core, and metrics."""

from __future__ import annotations

import logging
from functools import cache

from temporalio import activity, workflow
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from temporal.metrics import HISTOGRAMS

FORWARDING = LogForwardingConfig(
    logger=logging.getLogger("temporalio.core"), prepend_target_on_message=False, append_log_fields_to_message=False
)


@cache
def runtime(metrics_host: str, metrics_port: int) -> Runtime:
    """Return the process's runtime, whose log lines pass through `logging`, with their fields as fields.

    Args:
        metrics_host: The IP address where the metrics are served.
        metrics_port: Where Prometheus reads the metrics of the SDK and of the sagas; 0 for nowhere.
    """
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False
    lines = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=FORWARDING)
    address = f"[{metrics_host}]:{metrics_port}" if ":" in metrics_host else f"{metrics_host}:{metrics_port}"
    buckets = {metric.name: bounds for metric, bounds in HISTOGRAMS.items()}
    metrics = PrometheusConfig(bind_address=address, histogram_bucket_overrides=buckets) if metrics_port else None
    return Runtime(telemetry=TelemetryConfig(logging=lines, metrics=metrics))
