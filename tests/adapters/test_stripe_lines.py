"""A line of Stripe's balance is read by its reporting category, and none that moves a payment's money is left out."""

from __future__ import annotations

import time
from typing import Any

import pytest
import stripe

from adapters.payment.stripe.settlement_report import read_balance
from domain.reconciliation import Movement

REFUND = {"id": "re_1", "object": "refund", "amount": 700, "currency": "eur", "payment_intent": "pi_1", "metadata": {}}
DISPUTE = REFUND | {"id": "du_1", "object": "dispute"}


def read(*lines: dict[str, Any]) -> list[Movement]:
    common = {"id": "txn_1", "object": "balance_transaction", "currency": "eur", "fee": 0, "created": int(time.time())}
    answer = {"object": "list", "has_more": False, "data": [common | line for line in lines]}
    return list(read_balance(stripe.ListObject.construct_from(answer, key=None)).movements)


@pytest.mark.parametrize("type_", ["refund_failure", "adjustment"])
def test_a_refund_that_failed_is_known_whatever_the_type_of_its_line(type_: str) -> None:
    [found] = read({"type": type_, "reporting_category": "refund_failure", "amount": 700, "source": REFUND})
    assert (found.kind, found.intent_id, found.amount.amount) == ("refund_failed", "pi_1", 700)


@pytest.mark.parametrize(
    ("category", "amount", "kind"), [("dispute", -700, "disputed"), ("dispute_reversal", 700, "dispute_reversed")]
)
def test_a_dispute_is_an_adjustment_with_a_category_of_its_own(category: str, amount: int, kind: str) -> None:
    [found] = read({"type": "adjustment", "reporting_category": category, "amount": amount, "source": DISPUTE})
    assert (found.kind, found.intent_id, found.amount.amount) == (kind, "pi_1", 700)


@pytest.mark.parametrize("category", ["other_adjustment", "charge_failure", "of_next_year"])
def test_a_line_of_another_category_is_reported_with_its_name(category: str) -> None:
    [found] = read({"type": "adjustment", "reporting_category": category, "amount": -700, "source": None})
    assert (found.reference, found.kind, found.booking_id) == (f"txn_1 {category}", "other", None)


@pytest.mark.parametrize("category", ["payout", "fee", "topup"])
def test_payouts_and_bills_are_no_movements_of_a_booking(category: str) -> None:
    assert read({"type": category, "reporting_category": category, "amount": -700, "source": None}) == []
