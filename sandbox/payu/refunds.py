"""PayU's refunds: queued by the request, then finalized, which moves the money, or cancelled."""

from __future__ import annotations

import secrets
import time
from typing import Any

from sandbox.faults import Fault
from sandbox.intents import Intent, Intents, State
from sandbox.payu import errors
from sandbox.payu.errors import Json
from sandbox.payu.orders import moment
from sandbox.payu.params import Reader, currency, fields, one_of, text, whole_number
from sandbox.store import Row, Store

REFUND: dict[str, Reader] = {
    "refund": fields(
        ("description",),
        description=text(),
        amount=whole_number,
        extRefundId=text(1024),
        currencyCode=currency,
        bankDescription=text(),
        type=one_of("REFUND_PAYMENT_STANDARD"),
    )
}
SCHEMA = """
CREATE TABLE IF NOT EXISTS payu_refunds (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    refund_id TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL REFERENCES intents (id),
    ext_refund_id TEXT,
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    description TEXT NOT NULL,
    created REAL NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('PENDING', 'FINALIZED', 'CANCELED')),
    status_at REAL NOT NULL,
    error TEXT,
    UNIQUE (order_id, ext_refund_id)
)
"""


class Refunds:
    """The refunds of all orders; call every method that changes one inside a transaction of the store."""

    def __init__(self, store: Store, intents: Intents) -> None:
        self._store = store
        self._intents = intents
        store.run(SCHEMA)

    def create(self, intent: Intent, asked: Json, fault: Fault | None) -> tuple[Row, Json]:
        """Queue a refund.

        As at PayU the response says PENDING. The sandbox finalizes the refund a moment later, unless a fault keeps it
        pending (`processing`) or cancels it (`decline`).

        Raises:
            ApiError: See `errors.REFUND_ERRORS`.
        """
        known = self._repeated(intent, asked)
        if known:
            return known, _answer(intent, known, known["status"])
        refund = self._queue(intent, asked)
        if fault is None:
            refund = self.settle(refund, approved=True)
        elif fault.kind == "decline":
            refund = self.settle(refund, approved=False)
        return refund, _answer(intent, refund, "PENDING")

    def settle(self, refund: Row, *, approved: bool) -> Row:
        """Finalize or cancel a pending refund.

        Raises:
            LookupError: It is not pending.
        """
        if refund["status"] != "PENDING":
            raise LookupError(f"refund {refund['refund_id']} is {refund['status']}")
        status, error = ("FINALIZED", None) if approved else ("CANCELED", "BANK_REJECTED")
        if approved:
            intent = self._intents.find(refund["order_id"])
            assert intent is not None
            self._intents.refund(intent, refund["amount"], refund["description"], {})
        self._store.run(
            "UPDATE payu_refunds SET status = ?, status_at = ?, error = ? WHERE refund_id = ?",
            *(status, time.time(), error, refund["refund_id"]),
        )
        return self.find(refund["refund_id"])

    def find(self, refund_id: str) -> Row:
        """Raises: LookupError: There is none."""
        row = self._store.one("SELECT * FROM payu_refunds WHERE refund_id = ?", refund_id)
        if row is None:
            raise LookupError(f"no refund {refund_id}")
        return row

    def all(self, intent: Intent) -> list[Row]:
        """The refunds of an order, the oldest first."""
        return self._store.all("SELECT * FROM payu_refunds WHERE order_id = ? ORDER BY seq", intent.id)

    def _repeated(self, intent: Intent, asked: Json) -> Row | None:
        sql = "SELECT * FROM payu_refunds WHERE order_id = ? AND ext_refund_id = ?"
        known = self._store.one(sql, intent.id, asked.get("extRefundId"))
        if known and asked.get("amount") not in (None, known["amount"]):
            raise errors.refund_error("REFUND_IDEMPOTENCY_MISMATCH")
        return known

    def _queue(self, intent: Intent, asked: Json) -> Row:
        if intent.state is not State.CAPTURED:
            raise errors.refund_error("TRANS_NOT_ENDED")
        if asked.get("currencyCode", intent.currency) != intent.currency:
            raise errors.invalid("refund.currencyCode", "not the currency of the order")
        left = intent.captured - sum(each["amount"] for each in self.all(intent) if each["status"] != "CANCELED")
        amount = asked.get("amount", left)
        if left == 0:
            raise errors.refund_error("PAID")
        if not 0 < amount <= left:
            raise errors.refund_error("AMOUNT_TO_BIG" if amount else "AMOUNT_TO_SMALL")
        number, now = str(5_000_000_000 + secrets.randbelow(10**9)), time.time()
        self._store.insert(
            "payu_refunds",
            refund_id=number,
            order_id=intent.id,
            ext_refund_id=asked.get("extRefundId"),
            amount=amount,
            currency=intent.currency,
            description=asked["description"],
            created=now,
            status="PENDING",
            status_at=now,
        )
        return self.find(number)


def shown(refund: Row) -> dict[str, Any]:
    """A refund as JSON for lists."""
    result = {
        "refundId": refund["refund_id"],
        "amount": str(refund["amount"]),
        "currencyCode": refund["currency"],
        "description": refund["description"],
        "creationDateTime": moment(refund["created"]),
        "status": refund["status"],
        "statusDateTime": moment(refund["status_at"]),
    }
    if refund["ext_refund_id"]:
        result["extRefundId"] = refund["ext_refund_id"]
    if refund["error"]:
        result["statusError"] = {"code": refund["error"], "description": "The bank rejected the refund"}
    return result


def _answer(intent: Intent, refund: Row, status: str) -> Json:
    result = {"statusCode": "SUCCESS", "statusDesc": "Refund queued for processing"}
    return {"orderId": intent.id, "refund": shown(refund) | {"status": status}, "status": result}
