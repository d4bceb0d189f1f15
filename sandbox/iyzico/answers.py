"""Renders a form and its payment as iyzico does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sandbox.intents import Intent, State
from sandbox.iyzico.amounts import price
from sandbox.iyzico.cards import card_of
from sandbox.records import Attempt, Refund

Json = dict[str, Any]

PAID = frozenset({State.PROCESSING, State.AUTHORIZED, State.CAPTURED, State.VOIDED})
STATUS_NUMBERS = {"FAILURE": 0, "SUCCESS": 1, "INIT_THREEDS": 2}
CANCELLED = "cancelled"


def payment_status(intent: Intent) -> str | None:
    """The result of the latest attempt on the form; None if there was none."""
    if intent.state is State.ACTION_REQUIRED:
        return "INIT_THREEDS"
    if intent.attempt_id is None:
        return None
    return "SUCCESS" if intent.state in PAID else "FAILURE"


def payment(intent: Intent) -> Json:
    """A successful payment, as in the form's retrieval, `/payment/detail` and `/payment/postauth`."""
    details = intent.details
    card = card_of(intent)
    taken = intent.captured or intent.amount
    return {
        "price": price(details["price"]),
        "paidPrice": price(taken),
        "installment": 1,
        "paymentId": intent.attempt_id,
        "fraudStatus": fraud_status(intent),
        "cardType": "CREDIT_CARD",
        "cardAssociation": card.association,
        "binNumber": card.number[:8],
        "lastFourDigits": card.number[-4:],
        "basketId": details["basket_id"],
        "currency": intent.currency,
        "itemTransactions": [_transaction(intent)],
        "authCode": "100000",
        "phase": phase(intent),
        "hostReference": "mock00007iyzihostrfn",
    } | ({"mdStatus": 1} if details.get("authenticated") else {})


def refused(failure: dict[str, str]) -> Json:
    """The refusal of the latest attempt; it has `mdStatus` if 3-D Secure failed."""
    given = {"errorCode": failure["code"], "errorGroup": failure["group"], "errorMessage": failure["message"]}
    return given | ({"mdStatus": int(failure["md_status"])} if "md_status" in failure else {})


def report(intent: Intent, attempt: Attempt, refunds: Sequence[Refund]) -> Json:
    """A payment as in the reporting service, with its later movements."""
    is_last = attempt.id == intent.attempt_id
    status = payment_status(intent) if is_last else "FAILURE"
    cancels = [refund for refund in refunds if refund.reason == CANCELLED]
    given_back = [_refund(refund, intent, "refund") for refund in refunds if refund.reason != CANCELLED]
    cancelled = [_refund(refund, intent, "cancel") for refund in cancels] or _void(intent)
    transaction = {"paymentTransactionId": int(intent.details["transaction_id"]), "transactionStatus": 2}
    amounts = {"price": price(intent.details["price"]), "paidPrice": price(intent.captured or intent.amount)}
    return {
        "paymentId": int(attempt.id),
        "paymentStatus": STATUS_NUMBERS[status or "FAILURE"],
        "paymentRefundStatus": _refund_status(intent),
        **amounts,
        "installment": 1,
        "paymentConversationId": intent.details["conversation_id"],
        "fraudStatus": fraud_status(intent),
        "basketId": intent.details["basket_id"],
        "currency": intent.currency,
        "threeDS": bool(intent.details.get("authenticated")),
        "phase": phase(intent),
        "createdDate": _date(attempt.created),
        "cancels": cancelled if is_last else [],
        "itemTransactions": [transaction | amounts | {"refunds": given_back if is_last else []}],
    }


def phase(intent: Intent) -> str:
    """The phase of a payment, as iyzico names it: `POST_AUTH` once money was captured."""
    return "POST_AUTH" if intent.captured else "PRE_AUTH"


def fraud_status(intent: Intent) -> int:
    """1 approved, 0 in review."""
    return 0 if intent.state is State.PROCESSING else 1


def _transaction(intent: Intent) -> Json:
    return {
        "itemId": intent.details["basket_id"] or "item",
        "paymentTransactionId": intent.details["transaction_id"],
        "transactionStatus": 0 if intent.state is State.PROCESSING else 2,
        "price": price(intent.details["price"]),
        "paidPrice": price(intent.captured or intent.amount),
    }


def _void(intent: Intent) -> list[Json]:
    """A released hold, by a cancel or by expiry at the issuer."""
    if intent.state is not State.VOIDED or not intent.authorized:
        return []
    given_back = {"refundId": int(intent.details["transaction_id"]), "refundPrice": price(intent.released)}
    when = {"createdDate": _date(intent.details["canceled_at"]), "currencyCode": intent.currency}
    return [given_back | when | {"refundStatus": 1}]


REFUND_STATUSES = {"failed": 0, "succeeded": 1, "pending": 2}
"""0 and 1 are documented; the status of a refund that iyzico retries is not."""


def _refund(refund: Refund, intent: Intent, kind: str) -> Json:
    id_name, conversation = {
        "refund": ("refundTxId", "refundConversationId"),
        "cancel": ("refundId", "cancelConversationId"),
    }[kind]
    return {
        id_name: int(refund.id),
        conversation: refund.metadata.get("conversation_id"),
        "refundPrice": price(refund.amount),
        "refundStatus": REFUND_STATUSES[refund.status],
        "createdDate": _date(refund.created),
        "currencyCode": intent.currency,
    }


def _refund_status(intent: Intent) -> str:
    if not intent.refunded:
        return "NOT_REFUNDED"
    return "TOTALLY_REFUNDED" if intent.refunded == intent.captured else "PARTIALLY_REFUNDED"


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
