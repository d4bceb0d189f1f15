"""Stripe's own record of a day, as movements: its balance transactions, and then the intents that still reserve money.

The balance has captures, refunds, refunds that failed and disputes, each with Stripe's fee, but knows nothing of what
is only reserved. Its amounts are in the account's currency; the charge, refund or dispute behind each has what the
buyer paid.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import stripe

from adapters.payment.stripe import STRIPE
from domain.money import Money
from domain.reconciliation import Movement, MovementKind, MovementPage

PAGE = 100
BALANCE, INTENTS = "balance", "intents"

KINDS = {
    "charge": MovementKind.CAPTURED,
    "refund": MovementKind.REFUNDED,
    "refund_failure": MovementKind.REFUND_FAILED,
    "dispute": MovementKind.DISPUTED,
    "dispute_reversal": MovementKind.DISPUTE_REVERSED,
}
"""By reporting category (docs.stripe.com/reports/reporting-categories). The type says less: both a dispute and a refund
that failed may be an `adjustment`. A category that is neither here nor in `NOT_OURS` is reported."""

NOT_OURS = frozenset(
    {
        "advance",
        "advance_funding",
        "anticipation_repayment",
        "climate_order_purchase",
        "climate_order_refund",
        "connect_collection_transfer",
        "connect_reserved_funds",
        "contribution",
        "fee",
        "financing_paydown",
        "financing_paydown_reversal",
        "financing_payout",
        "financing_payout_reversal",
        "issuing_authorization_hold",
        "issuing_authorization_release",
        "issuing_dispute",
        "issuing_transaction",
        "network_cost",
        "payout",
        "payout_minimum_balance_hold",
        "payout_minimum_balance_release",
        "payout_reversal",
        "platform_earning",
        "platform_earning_refund",
        "risk_reserved_funds",
        "tax",
        "topup",
        "topup_reversal",
        "transfer",
        "transfer_reversal",
        "partial_capture_reversal",
    }
)
"""Payouts, Stripe's own bills and products that Seatwright does not use: no movements of a booking. The reversal of a
partial capture is none either, because a charge counts by what was captured of it."""

Read = Callable[[Any], MovementPage]


def asked(client: stripe.StripeClient, day: date, page: str | None) -> tuple[Awaitable[Any], Read]:
    """The call for a page, named by the list and the last object before it, and what reads its answer."""
    which, _, after = (page or BALANCE).partition(" ")
    start = int(datetime.combine(day, time(), UTC).timestamp())
    request: dict[str, Any] = {
        "created": {"gte": start, "lt": start + int(timedelta(days=1).total_seconds())},
        "limit": PAGE,
    }
    if after:
        request["starting_after"] = after
    if which == BALANCE:
        transactions: Any = client.v1.balance_transactions
        return transactions.list_async(request | {"expand": ["data.source"]}), read_balance
    intents: Any = client.v1.payment_intents
    return intents.list_async(request), _reserved


def read_balance(answer: Any) -> MovementPage:
    """The movements of a page of balance transactions."""
    ours = [each for each in answer.data if each.reporting_category not in NOT_OURS]
    return MovementPage(
        movements=tuple(_of_balance(each) if each.reporting_category in KINDS else _unknown(each) for each in ours),
        next_page=f"{BALANCE} {answer.data[-1].id}" if answer.has_more else INTENTS,
    )


def _of_balance(line: Any) -> Movement:
    # A line of no payment that we know is not of this product. Its effect on the balance says what it is.
    source = line if line.source is None or isinstance(line.source, str) else line.source
    paid = source.amount_captured if source.object == "charge" else abs(source.amount)
    return Movement(
        reference=line.id,
        kind=KINDS[line.reporting_category],
        booking_id=_booking(source),
        intent_id=getattr(source, "payment_intent", None),
        amount=STRIPE.from_units(paid, source.currency.upper()),
        fee=_fee(line),
        happened_at=datetime.fromtimestamp(line.created, UTC),
    )


def _unknown(line: Any) -> Movement:
    """Without a booking: so it is reported with its category, under Stripe's reference."""
    return Movement(
        reference=f"{line.id} {line.reporting_category}",
        kind=MovementKind.OTHER,
        booking_id=None,
        amount=STRIPE.from_units(abs(line.amount), line.currency.upper(), cut=True),
        happened_at=datetime.fromtimestamp(line.created, UTC),
    )


def _fee(line: Any) -> Money | None:
    """What Stripe keeps; it may be less than a minor unit of the account's currency."""
    return STRIPE.from_units(line.fee, line.currency.upper(), cut=True) if line.fee > 0 else None


def _reserved(answer: Any) -> MovementPage:
    return MovementPage(
        movements=tuple(_hold(each) for each in answer.data if each.status == "requires_capture"),
        next_page=f"{INTENTS} {answer.data[-1].id}" if answer.has_more else None,
    )


def _hold(intent: Any) -> Movement:
    return Movement(
        reference=intent.id,
        kind=MovementKind.HELD,
        booking_id=_booking(intent),
        intent_id=intent.id,
        amount=STRIPE.from_units(intent.amount_capturable, intent.currency.upper()),
        happened_at=datetime.fromtimestamp(intent.created, UTC),
    )


def _booking(thing: Any) -> UUID | None:
    """Whose money it is: an intent's metadata are also its charges'; our refunds' key begins with the booking."""
    metadata = getattr(thing, "metadata", None)
    told = metadata.to_dict() if metadata else {}
    try:
        return UUID(told.get("booking_id") or str(told.get("refund_key", "")).partition(":")[0])
    except ValueError:
        return None
