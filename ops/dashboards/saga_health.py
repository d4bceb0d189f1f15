"""Saga health: whether every booking, refund and exchange comes to its end, step by step."""

from __future__ import annotations

from ops.dashboards.board import Dashboard, Panel, largest, or_none, quantile, rate, total

_SERVER_CALLS = rate("service_requests", 'service_name="frontend"', by="operation")
_SDK = "Durations of Temporal's SDK are in milliseconds."

SAGA_HEALTH = Dashboard(
    "saga-health",
    "Saga health",
    "Does every saga come to its end?",
    {
        "Ends": [
            Panel("Bookings that end, a second", {"{{outcome}}": rate("seatwright_bookings_total", by="outcome")}),
            Panel(
                "Workflows that end, a second",
                {
                    "{{workflow_type}}": rate("temporal_workflow_completed", by="workflow_type"),
                    "failed": or_none(rate("temporal_workflow_failed")),
                },
                note="A refusal counts as completed; `failed` is a bug, or a day that could not be reconciled.",
            ),
            Panel(
                "Whole workflows, slowest percent",
                {"{{workflow_type}}": quantile(0.99, "temporal_workflow_endtoend_latency", by="workflow_type")},
                "ms",
            ),
        ],
        "Sagas in trouble": [
            Panel(
                "Waiting for an operator",
                {
                    "sagas": largest("seatwright_sagas_needing_attention", by=""),
                    "late payments": largest("seatwright_late_payments_needing_attention", by=""),
                },
            ),
            Panel(
                "Began to wait, by step, in 10 minutes",
                {"{{step}}": or_none("sum by (step) (increase(seatwright_attention_total[10m]))")},
            ),
            Panel("Steps undone a second", {"{{step}}": or_none(rate("seatwright_compensations_total", by="step"))}),
            Panel("Started again because they were lost", {"sagas": total("seatwright_sagas_revived_total")}),
        ],
        "Steps": [
            Panel(
                "Local steps a second",
                {"{{activity_type}}": rate("temporal_local_activity_execution_latency_count", by="activity_type")},
            ),
            Panel(
                "Other steps a second",
                {"{{activity_type}}": rate("temporal_activity_execution_latency_count", by="activity_type")},
            ),
            Panel(
                "Local steps, slowest percent",
                {"{{activity_type}}": quantile(0.99, "temporal_local_activity_execution_latency", by="activity_type")},
                "ms",
                _SDK,
            ),
            Panel(
                "Other steps, slowest percent",
                {"{{activity_type}}": quantile(0.99, "temporal_activity_execution_latency", by="activity_type")},
                "ms",
            ),
            Panel(
                "Tries of steps that failed, a second",
                {
                    "local: {{activity_type}}": or_none(
                        rate("temporal_local_activity_execution_failed", by="activity_type")
                    ),
                    "{{activity_type}}": or_none(rate("temporal_activity_execution_failed", by="activity_type")),
                },
                note="Each is tried again.",
            ),
        ],
        "Workers": [
            Panel(
                "A workflow's task waits for a worker, slowest percent",
                {"{{task_queue}}": quantile(0.99, "temporal_workflow_task_schedule_to_start_latency", by="task_queue")},
                "ms",
            ),
            Panel(
                "A step waits for a worker, slowest percent",
                {"{{task_queue}}": quantile(0.99, "temporal_activity_schedule_to_start_latency", by="task_queue")},
                "ms",
            ),
            Panel(
                "Slots in use",
                {
                    "{{worker_type}} {{task_queue}}": total(
                        "temporal_worker_task_slots_used", by="worker_type, task_queue"
                    )
                },
            ),
            Panel(
                "Tasks of workflows that failed, a second",
                {"{{workflow_type}}": or_none(rate("temporal_workflow_task_execution_failed", by="workflow_type"))},
                note="A workflow whose code no longer fits its history stands still.",
            ),
            Panel("Workflows in memory", {"{{task_queue}}": total("temporal_sticky_cache_size", by="task_queue")}),
        ],
        "Temporal's server": [
            Panel(
                "Calls to Temporal a second",
                {"{{operation}}": f"topk(10, {_SERVER_CALLS})"},
                "reqps",
            ),
            Panel(
                "Errors of Temporal a second",
                {"{{error_type}}": or_none(rate("service_error_with_type", by="error_type"))},
                note="`NotFound` and `AlreadyStarted` are usual.",
            ),
            Panel(
                "Calls to Temporal, slowest percent",
                {"{{service_name}}": quantile(0.99, "service_latency", by="service_name")},
                "s",
                "Calls that wait for work are among them.",
            ),
            Panel(
                "Temporal's database, slowest percent",
                {"{{service_name}}": quantile(0.99, "persistence_latency", by="service_name")},
                "s",
            ),
            Panel(
                "Calls to Temporal's database a second",
                {
                    "calls": rate("persistence_requests"),
                    "{{error_type}}": or_none(rate("persistence_error_with_type", by="error_type")),
                },
                "reqps",
            ),
            Panel(
                "Oldest task that waits for a worker",
                {"{{taskqueue}}": largest("approximate_backlog_age_seconds", by="taskqueue")},
                "s",
            ),
            Panel(
                "Calls of our processes that failed, a second",
                {"{{operation}}": or_none(rate("temporal_request_failure", by="operation"))},
                "reqps",
            ),
        ],
    },
)
