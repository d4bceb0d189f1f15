"""Metrics that are on no dashboard, each with its reason. Each pattern is of whole names."""

from __future__ import annotations

from typing import Final

UNSHOWN: Final = {
    r".*_created": "the time of a counter's first increment, which prometheus_client adds",
    r"python_info|process_start_time_seconds|process_virtual_memory_bytes": "constants, or of no use for a decision",
    r"python_gc_objects_(un)?collect(ed|able)_total": "`python_gc_collections_total` says how busy the collector is",
    r"scrape_.*": "Prometheus's own: `up` says whether a process answers",
    r"slo:(?!current_burn|period_error).*|sloth_slo_info|ALERTS_FOR_STATE": (
        "parts of what the rules of ops/alerts compute; the sums are shown"
    ),
    r"temporal_(long_)?request(_latency.*|_attempt)?|temporal_long_request_failure": (
        "calls to Temporal by kind: the server counts them, and their failures are shown"
    ),
    r"temporal_(resource_slots|worker_start|sticky_cache_(hit|miss)).*": "the SDK's own tuning",
    r"temporal_(activity|workflow_task_queue)_poll_.*|temporal_activity_task_received.*": "idle polls; slots are shown",
    r"temporal_workflow_task_(execution|replay)_latency.*": "part of the steps' times, for work on the SDK",
    r"temporal_(local_)?activity_(succeed_endtoend_latency|total|execution_cancelled).*": "the tries are shown",
    r"temporal_workflow_(canceled|continue_as_new)": "both are usual ends",
    r"service_latency_(no)?userlatency.*": "parts of `service_latency`",
}
"""By a regular expression: why no panel shows these."""
