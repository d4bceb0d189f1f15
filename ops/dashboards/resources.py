"""Resources: how far each is used, what waits for it, and where it fails."""

from __future__ import annotations

from ops.dashboards.board import WINDOW, Dashboard, Panel, largest, or_none, quantile, rate, total

RESOURCES = Dashboard(
    "resources",
    "Resources",
    "Which resource is exhausted, or will be soon?",
    {
        "Processes": [
            Panel("Processors", {"{{job}}": rate("process_cpu_seconds_total", by="job")}, note="1: one core."),
            Panel("Memory", {"{{job}}": total("process_resident_memory_bytes", by="job")}, "bytes"),
            Panel(
                "Open files, of those that are allowed",
                {"{{job}}": "max by (job) (process_open_fds / process_max_fds)"},
                "percentunit",
            ),
            Panel("Longest stall of an event loop", {"{{job}}": largest("seatwright_loop_longest_stall_seconds")}, "s"),
            Panel("Garbage collections a second", {"{{job}}": rate("python_gc_collections_total", by="job")}),
            Panel("Answers to Prometheus", {"{{job}}": "min by (job) (up)"}, note="0: the process does not answer."),
        ],
        "Databases": [
            Panel(
                "Connections in use, of those that the pool may open",
                {
                    "{{job}} {{database}} {{pool}}": "max by (job, database, pool)"
                    " (seatwright_sql_connections_in_use / seatwright_sql_connections_limit)"
                },
                "percentunit",
            ),
            Panel(
                "Statements a second",
                {"{{job}} {{database}}": rate("seatwright_sql_statement_seconds_count", by="job, database")},
            ),
            Panel(
                "Statements, slowest percent",
                {"{{job}} {{database}}": quantile(0.99, "seatwright_sql_statement_seconds", by="job, database")},
                "s",
            ),
        ],
        "Redis": [
            Panel(
                "Connections to Redis in use, of those that the pool may open",
                {
                    "{{job}} {{pool}}": "max by (job, pool)"
                    " (seatwright_redis_connections_in_use / seatwright_redis_connections_limit)"
                },
                "percentunit",
            ),
            Panel(
                "Calls to Redis a second, by outcome",
                {"{{job}} {{outcome}}": rate("seatwright_redis_call_seconds_count", by="job, outcome")},
            ),
            Panel(
                "Calls to Redis, slowest percent",
                {"{{job}}": quantile(0.99, "seatwright_redis_call_seconds", by="job")},
                "s",
            ),
        ],
        "Queues": [
            Panel("Messages in the outbox", {"{{service}}": largest("seatwright_outbox_waiting", by="service")}),
            Panel(
                "Age of the oldest message in the outbox",
                {"{{service}}": largest("seatwright_outbox_oldest_seconds", by="service")},
                "s",
            ),
            Panel(
                "Since a relay has read the outbox",
                {"{{service}}": "time() - max by (service) (seatwright_outbox_measured_timestamp_seconds)"},
                "s",
            ),
            Panel(
                "Messages that consumers are behind", {"{{consumer}}": total("seatwright_consumer_lag", by="consumer")}
            ),
            Panel(
                "Free slots of workers",
                {
                    "{{worker_type}} {{task_queue}}": "min by (worker_type, task_queue)"
                    " (temporal_worker_task_slots_available)"
                },
            ),
            Panel(
                "Workers that ask for tasks",
                {"{{poller_type}} {{task_queue}}": total("temporal_num_pollers", by="poller_type, task_queue")},
            ),
            Panel(
                "Workflows pushed out of memory, a second",
                {"evicted": or_none(f"sum(rate(temporal_sticky_cache_total_forced_eviction[{WINDOW}]))")},
            ),
        ],
    },
)
