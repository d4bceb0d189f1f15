"""Services: rate, errors and duration of all that our processes are asked to do."""

from __future__ import annotations

from ops.dashboards.board import Dashboard, Panel, or_none, quantile, rate, total

_REQUESTS = "seatwright_http_request_seconds"
_ALL = rate(f"{_REQUESTS}_count")
_FAILED = or_none(rate(f"{_REQUESTS}_count", 'status=~"5..|0"'))  # 0: the caller left before the answer
_BY_ROUTE = rate(f"{_REQUESTS}_count", by="method, route")

SERVICES = Dashboard(
    "services",
    "Services",
    "How much is asked of each service, how much of it fails, and how long does it take?",
    {
        "Requests": [
            Panel(
                "Requests a second",
                {"{{method}} {{route}}": f"topk(15, {_BY_ROUTE})"},
                "reqps",
            ),
            Panel(
                "Share of 5xx",
                {"5xx": f"({_FAILED}) / {_ALL}"},
                "percentunit",
            ),
            Panel(
                "Requests, slowest percent",
                {"{{method}} {{route}}": f"topk(15, {quantile(0.99, _REQUESTS, by='method, route')})"},
                "s",
            ),
        ],
        "Relay": [
            Panel(
                "Messages published a second",
                {"{{service}}": rate("seatwright_outbox_published_total", by="service")},
            ),
            Panel(
                "Messages that Kafka refuses",
                {"{{service}}": total("seatwright_outbox_stopped_aggregates", by="service")},
                note="Aggregates whose next message is refused.",
            ),
            Panel(
                "From the transaction to Kafka, slowest percent",
                {"{{service}}": quantile(0.99, "seatwright_outbox_delay_seconds", by="service")},
                "s",
            ),
        ],
        "Consumers": [
            Panel(
                "Messages handled a second",
                {"{{consumer}} {{type}}": rate("seatwright_consumer_handled_total", by="consumer, type")},
            ),
            Panel(
                "Tries to handle a message that failed, a second",
                {"{{consumer}} {{error}}": or_none(rate("seatwright_consumer_failed_total", by="consumer, error"))},
            ),
            Panel(
                "Messages put aside",
                {
                    "later: {{consumer}}": or_none(total("seatwright_consumer_retried_later_total", by="consumer")),
                    "for good: {{consumer}}": or_none(total("seatwright_consumer_dead_lettered_total", by="consumer")),
                },
            ),
            Panel(
                "From the transaction to the end of the effect, slowest percent",
                {"{{consumer}}": quantile(0.99, "seatwright_consumer_delay_seconds", by="consumer")},
                "s",
            ),
        ],
    },
)
