"""Payments: whether providers answer, and whether the money agrees with what we think of it."""

from __future__ import annotations

from ops.dashboards.board import Dashboard, Panel, largest, or_none, quantile, quantiles, rate, total

_CALLS = "seatwright_provider_call_seconds"
_PAY = 'method="POST", route="/v1/bookings/{booking_id}/payment"'

PAYMENTS = Dashboard(
    "payments",
    "Payments",
    "Do the providers answer, and does the money agree?",
    {
        "Providers": [
            Panel(
                "Calls to providers a second",
                {"{{provider}} {{call}}": rate(f"{_CALLS}_count", by="provider, call")},
                "reqps",
            ),
            Panel(
                "Calls to providers a second, by outcome",
                {"{{provider}} {{outcome}}": rate(f"{_CALLS}_count", by="provider, outcome")},
                "reqps",
                "`PaymentDeclined` is a buyer's card, `PaymentUnknown` had no answer.",
            ),
            Panel(
                "Calls without an answer, a second",
                {"{{provider}}": or_none(rate(f"{_CALLS}_count", 'outcome="PaymentUnknown"', by="provider"))},
                "reqps",
            ),
            Panel("Calls to providers, slowest percent", {"{{provider}}": quantile(0.99, _CALLS, by="provider")}, "s"),
            Panel("The same, by call", {"{{call}}": quantile(0.99, _CALLS, by="call")}, "s"),
        ],
        "Buyers": [
            Panel(
                "Buyers' payments a second, by answer",
                {"{{status}}": rate("seatwright_http_request_seconds_count", _PAY, by="status")},
                "reqps",
                "402: declined; 202: the buyer has to act.",
            ),
            Panel("Payment, as the buyer sees it", quantiles("seatwright_http_request_seconds", _PAY), "s"),
            Panel(
                "From the command to pay to the tickets, slowest percent",
                {"buyer acted: {{buyer_acted}}": quantile(0.99, "seatwright_confirmation_seconds", by="buyer_acted")},
                "s",
            ),
        ],
        "Money": [
            Panel(
                "Amounts that differed from what was owed",
                {
                    "{{provider}} {{step}}": or_none(
                        total("seatwright_payment_amount_differences_total", by="provider, step")
                    )
                },
            ),
            Panel(
                "Open differences of reconciliation",
                {
                    "{{provider}} {{kind}}": largest("seatwright_reconciliation_differences", by="provider, kind"),
                },
            ),
            Panel(
                "Age of the latest reconciled day",
                {"{{provider}}": or_none(f"time() - {largest('seatwright_reconciliation_last_day', by='provider')}")},
                "s",
                "0 where no day has been reconciled yet.",
            ),
            Panel(
                "Late payments that wait for an operator",
                {"late payments": largest("seatwright_late_payments_needing_attention", by="")},
            ),
        ],
    },
)
