"""Stripe's balance transactions: the movements of the merchant's balance, with Stripe's fee."""

from __future__ import annotations

import math
from typing import Any

from sandbox.intents import Intents
from sandbox.ledger import Ledger, Movement
from sandbox.stripe.objects import Json, Renderer, page, strip_prefix
from sandbox.stripe.params import limit_of

TYPES = {
    Movement.CAPTURE: "charge",
    Movement.REFUND: "refund",
    Movement.REFUND_FAILURE: "refund_failure",
    Movement.DISPUTE: "adjustment",
    Movement.DISPUTE_REVERSAL: "adjustment",
}
CATEGORIES = TYPES | {Movement.DISPUTE: "dispute", Movement.DISPUTE_REVERSAL: "dispute_reversal"}
"""docs.stripe.com/reports/reporting-categories"""
FEE_THOUSANDTHS, FEE_FIXED = 15, 25
"""1.5% and 25 minor units of a charge (stripe.com/pricing, standard EEA cards); a refund costs nothing and
does not return the fee."""
DISPUTE_FEE = 2000


class Balance:
    """The account's balance, always in the currency of the payment: nothing is converted."""

    def __init__(self, ledger: Ledger, intents: Intents) -> None:
        self._ledger = ledger
        self._intents = intents
        self._render = Renderer(intents)

    def transactions(self, values: dict[str, Any], context: Any) -> Json:
        """Newest first; `created` bounds are Unix seconds."""
        since, until = _bounds(values.get("created", {}))
        kinds = [movement for movement, name in TYPES.items() if values.get("type") in (None, name)]
        entries = self._ledger.between("stripe", kinds, since, until)[::-1]
        after = values.get("starting_after")
        start = next((place + 1 for place, entry in enumerate(entries) if _id(entry) == after), 0)
        limit = limit_of(values)
        expand = strip_prefix(values.get("expand", ()), "data")
        shown = [self._transaction(entry, expand) for entry in entries[start : start + limit]]
        return page(shown, context.path, len(entries) > start + limit)

    def _transaction(self, entry: dict[str, Any], expand: list[str]) -> Json:
        movement = Movement(entry["kind"])
        amount = -entry["amount"] if movement in (Movement.REFUND, Movement.DISPUTE) else entry["amount"]
        fee = _fee(movement, amount)
        details = {"amount": fee, "application": None, "currency": entry["currency"], "type": "stripe_fee"}
        return {
            "id": _id(entry),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": int(entry["at"]),
            "balance_type": "payments",
            "created": int(entry["at"]),
            "currency": entry["currency"],
            "description": None,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [details | {"description": "Stripe processing fees"}] if fee else [],
            "net": amount - fee,
            "reporting_category": CATEGORIES[movement],
            "source": self._source(entry) if "source" in expand else entry["object_id"],
            "status": "available",
            "type": TYPES[movement],
        }

    def _source(self, entry: dict[str, Any]) -> Json | None:
        intent = self._intents.find(entry["intent_id"])
        assert intent is not None
        if entry["kind"] == Movement.CAPTURE:
            attempt = self._intents.attempt(entry["object_id"])
            return self._render.charge(intent, attempt) if attempt else None
        if entry["kind"] in (Movement.DISPUTE, Movement.DISPUTE_REVERSAL):
            return self._render.dispute(intent)
        refund = self._intents.find_refund(entry["object_id"])
        return self._render.refund(intent, refund) if refund else None


def _fee(movement: Movement, amount: int) -> int:
    if movement is Movement.DISPUTE:
        return DISPUTE_FEE
    return amount * FEE_THOUSANDTHS // 1000 + FEE_FIXED if movement is Movement.CAPTURE else 0


def _id(entry: dict[str, Any]) -> str:
    return f"txn_{entry['seq']:024d}"


def _bounds(created: dict[str, int]) -> tuple[float, float]:
    """The half-open range of `created`; Stripe's values are whole seconds."""
    since = max(created.get("gte", 0), created.get("gt", -1) + 1)
    until = min(created.get("lt", math.inf), created.get("lte", math.inf) + 1)
    return since, until
