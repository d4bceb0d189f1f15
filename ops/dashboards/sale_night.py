"""Sale night: whether buyers get seats and tickets now, and what is in their way."""

from __future__ import annotations

from ops.dashboards.board import Dashboard, Panel, largest, or_none, quantile, quantiles, rate, total

_REQUESTS = "seatwright_http_request_seconds"
_HOLD = 'method="POST", route="/v1/bookings"'
_PAY = 'method="POST", route="/v1/bookings/{booking_id}/payment"'

SALE_NIGHT = Dashboard(
    "sale-night",
    "Sale night",
    "Do buyers get seats and tickets now?",
    {
        "Seats": [
            Panel("Holds a second, by answer", {"{{status}}": rate(f"{_REQUESTS}_count", _HOLD, by="status")}, "reqps"),
            Panel(
                "Seats a second",
                {"{{outcome}}": rate("seatwright_seats_total", 'outcome=~"held|confirmed"', by="outcome")},
                note="`confirmed` are sold.",
            ),
            Panel(
                "Places held now",
                {"held": largest("seatwright_places_held", by="")},
                note="Of bookings that are not paid yet, counted every 20 to 40 seconds.",
            ),
        ],
        "How long buyers wait": [
            Panel("Hold", quantiles(_REQUESTS, f'{_HOLD}, status="201"'), "s", "The objective: 99% under 0.3 s."),
            Panel("Payment, as the buyer sees it", quantiles(_REQUESTS, _PAY), "s"),
            Panel(
                "From the command to pay to the tickets",
                quantiles("seatwright_confirmation_seconds", 'buyer_acted="no"'),
                "s",
                "Without payments for which the buyer acts at the provider.",
            ),
        ],
        "Promises": [
            Panel("Alerts", {"{{alertname}}": or_none('sum by (alertname) (ALERTS{alertstate="firing"})')}),
            Panel(
                "What is left of 30 days' errors",
                {"{{sloth_slo}}": "slo:period_error_budget_remaining:ratio"},
                "percentunit",
                "Below 0 the objective is missed.",
            ),
            Panel(
                "How fast errors use it up",
                {"{{sloth_slo}}": "slo:current_burn_rate:ratio"},
                note="1: exactly as many errors as the objective allows.",
            ),
        ],
        "What is in their way": [
            Panel(
                "Answers 5xx a second",
                {"5xx": or_none(rate(f"{_REQUESTS}_count", 'status=~"5..|0"'))},
                "reqps",
            ),
            Panel("Longest stall of an event loop", {"{{job}}": largest("seatwright_loop_longest_stall_seconds")}, "s"),
            Panel(
                "Redis, slowest percent", {"{{job}}": quantile(0.99, "seatwright_redis_call_seconds", by="job")}, "s"
            ),
            Panel("Open streams of bookings", {"streams": total("seatwright_streams")}),
            Panel(
                "Connections refused a second",
                {"{{reason}}": or_none(rate("seatwright_connections_refused_total", by="reason"))},
            ),
            Panel(
                "From the outcome to Kafka, slowest percent",
                {"{{service}}": quantile(0.99, "seatwright_outbox_delay_seconds", by="service")},
                "s",
            ),
        ],
    },
)
