"""Business: what was sold, what was given back, and whether people heard of it."""

from __future__ import annotations

from ops.dashboards.board import Dashboard, Panel, or_none, quantile

_HOUR = "1h"


def _in_an_hour(metric: str, selector: str = "", *, by: str = "") -> str:
    grouped = f"sum by ({by}) " if by else "sum"
    return f"{grouped}(increase({metric}{{{selector}}}[{_HOUR}]))"


_SOLD = or_none(_in_an_hour("seatwright_bookings_total", 'outcome="confirmed"'))
_ENDED = _in_an_hour("seatwright_bookings_total", 'outcome!="refused"')

BUSINESS = Dashboard(
    "business",
    "Business",
    "What is sold, what comes back, and do people hear of it?",
    {
        "Sales": [
            Panel(
                "Bookings by their end, in an hour",
                {"{{outcome}}": _in_an_hour("seatwright_bookings_total", by="outcome")},
            ),
            Panel(
                "Seats, in an hour",
                {"{{outcome}}": _in_an_hour("seatwright_seats_total", by="outcome")},
                note="`held` seats count once more when their booking ends; `confirmed` are sold.",
            ),
            Panel(
                "Share of ended bookings that are sold",
                {"sold": f"({_SOLD}) / {_ENDED}"},
                "percentunit",
            ),
            Panel(
                "Payments declined, in an hour",
                {
                    "{{provider}}": or_none(
                        _in_an_hour(
                            "seatwright_provider_call_seconds_count", 'outcome="PaymentDeclined"', by="provider"
                        )
                    )
                },
            ),
        ],
        "After the sale": [
            Panel(
                "Refunds, exchanges and cancelled events, in an hour",
                {
                    "{{workflow_type}}": or_none(
                        _in_an_hour(
                            "temporal_workflow_completed",
                            'workflow_type=~"Refund|Exchange|EventCancellation|LatePayment"',
                            by="workflow_type",
                        )
                    )
                },
            ),
            Panel(
                "Domain events counted by analytics, in an hour",
                {"{{type}}": _in_an_hour("seatwright_consumer_handled_total", 'consumer="analytics"', by="type")},
            ),
            Panel(
                "Domain events that people hear of, in an hour",
                {"{{type}}": _in_an_hour("seatwright_consumer_handled_total", 'consumer="notification"', by="type")},
            ),
            Panel(
                "From the outcome to the mail, slowest percent",
                {"mail": quantile(0.99, "seatwright_consumer_delay_seconds", 'consumer="notification"')},
                "s",
                "The objective: 99% under 30 s.",
            ),
        ],
    },
)
