"""iyzico's daily report: the movements of payments, with iyzico's commission.

Guesses, where no public source says: a day is UTC's, a page has PAGE rows, a pre-authorization is a PAYMENT of phase
PRE_AUTH and its post-authorization another one of phase POST_AUTH, and a void is a CANCEL of phase PRE_AUTH.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.intents import Intent, Intents
from sandbox.iyzico import errors
from sandbox.iyzico.amounts import price
from sandbox.iyzico.answers import CANCELLED
from sandbox.ledger import Ledger, Movement

Json = dict[str, Any]

PAGE = 10
ROWS = {
    Movement.HOLD: ("PAYMENT", "PRE_AUTH"),
    Movement.CAPTURE: ("PAYMENT", "POST_AUTH"),
    Movement.VOID: ("CANCEL", "PRE_AUTH"),
    Movement.EXPIRE: ("CANCEL", "PRE_AUTH"),
    Movement.REFUND: ("REFUND", "POST_AUTH"),
}
COMMISSION_THOUSANDTHS, FEE = 29, 25
"""2.9% and 25 minor units of a payment, from iyzico's public price list for small merchants."""


class Days:
    """Builds the daily reports."""

    def __init__(self, ledger: Ledger, intents: Intents) -> None:
        self._ledger = ledger
        self._intents = intents

    def page(self, given: Json) -> Json:
        """Raises: ApiError: No such date or page."""
        day, number = _day(given["transactionDate"]), _page(given.get("page", "1"))
        since = day.timestamp()
        entries = self._ledger.between("iyzico", list(ROWS), since, since + timedelta(days=1).total_seconds())
        shown = entries[(number - 1) * PAGE : number * PAGE]
        return {
            "transactions": [self._row(entry) for entry in shown],
            "currentPage": number,
            "totalPageCount": max(1, -(-len(entries) // PAGE)),
        }

    def _row(self, entry: Json) -> Json:
        intent = self._intents.find(entry["intent_id"])
        assert intent is not None
        kind, phase = ROWS[Movement(entry["kind"])]
        refund = self._intents.find_refund(entry["object_id"]) if kind == "REFUND" else None
        if refund and refund.reason == CANCELLED:
            kind = "CANCEL"
        conversation = refund.metadata.get("conversation_id") if refund else intent.details.get("conversation_id")
        return {
            "transactionType": kind,
            "transactionDate": datetime.fromtimestamp(entry["at"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "transactionId": int(entry["seq"]),
            "transactionStatus": 2,
            "afterSettlement": 0,
            "paymentTxId": int(intent.details.get("transaction_id", 0)),
            "paymentId": int(intent.attempt_id or 0),
            "conversationId": conversation,
            "paymentPhase": phase,
            "price": price(entry["amount"]),
            "paidPrice": price(entry["amount"]),
            "transactionCurrency": intent.currency,
            "installment": 1,
            "threeDS": int(bool(intent.details.get("authenticated"))),
            "settlementCurrency": intent.currency,
            "connectorType": "SANDBOX",
            "posOrderId": entry["intent_id"],
            "authCode": "100000",
            "hostReference": "mock00007iyzihostrfn",
            "basketId": intent.details.get("basket_id"),
        } | (_costs(entry, intent) if (kind, phase) == ("PAYMENT", "POST_AUTH") else {})


def _costs(entry: Json, intent: Intent) -> Json:
    commission = entry["amount"] * COMMISSION_THOUSANDTHS // 1000
    return {
        "iyzicoCommission": price(commission),
        "iyzicoFee": price(FEE),
        "parity": 1.0,
        "iyzicoConversionAmount": 0.0,
        "merchantPayoutAmount": price(intent.captured - commission - FEE),
        "subMerchantPayoutAmount": 0.0,
    }


def _day(text: Any) -> datetime:
    try:
        return datetime.strptime(str(text), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise errors.invalid("transactionDate must be a date such as 2026-11-23") from None


def _page(text: Any) -> int:
    if not str(text).isdigit() or int(text) < 1:
        raise errors.invalid("page must be a number from 1")
    return int(text)
