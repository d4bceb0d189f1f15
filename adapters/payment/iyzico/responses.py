"""What iyzico's answers mean, in the domain's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from adapters.payment.iyzico.amounts import read_amount
from domain.money import Money
from domain.payments import (
    Intent,
    IntentState,
    PaymentDeclined,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefund,
    ProviderRefundState,
)

Json = Mapping[str, Any]

TOO_MANY_CALLS = "50000"  # docs.iyzico.com, page "Limiters": HTTP 200, although nothing was done
SYSTEM_ERRORS = frozenset({"1", "2", "10214", "100001", TOO_MANY_CALLS})
IN_PROGRESS = "8514"  # the same was asked for before; what became of it has to be looked up
NOT_FOR_POSTAUTH = "5082"  # not authorized any more, or taken already
WRONG_CALLS = frozenset({"11", "1000", "1001"})  # malformed, wrongly signed, or of no merchant
DONE, FAILED = 1, 0
"""`refundStatus` of a refund or cancel."""
REFUND_STATES = {DONE: ProviderRefundState.SUCCEEDED, FAILED: ProviderRefundState.FAILED}


def reported(token: str, report: Json, refunds: list[Json]) -> Intent:
    """A payment's state by its phase and by what was cancelled or refunded since.

    Raises:
        PaymentUnknown: A cancel is neither done nor failed.
    """
    cancels = list(report.get("cancels") or ())
    if any(each["refundStatus"] not in (DONE, FAILED) for each in cancels):
        raise PaymentUnknown("a cancel is in progress")
    back = [*refunds, *cancels]
    currency = report["currency"]
    returned = sum(amount_of(each["refundPrice"], currency).amount for each in back if each["refundStatus"] == DONE)
    amount = amount_of(report["paidPrice"], currency)
    paid = amount.amount
    if report["phase"] in ("AUTH", "POST_AUTH"):
        return Intent(id=token, state=IntentState.CAPTURED, amount=amount, captured=paid, refunded=returned)
    if report["fraudStatus"] == -1:
        return Intent(id=token, state=IntentState.VOIDED, amount=amount, decline_code="FRAUD_REJECTED")
    state = IntentState.PROCESSING if report["fraudStatus"] == 0 else IntentState.AUTHORIZED
    return Intent(id=token, state=IntentState.VOIDED if returned else state, amount=amount)


def amount_of(price: Any, currency: str) -> Money:
    """What a price in an answer is.

    Raises:
        PaymentUnknown: It cannot be read.
    """
    try:
        return read_amount(price, currency)
    except (ValueError, ArithmeticError) as error:
        raise PaymentUnknown(f"iyzico's answer cannot be read: {error}") from error


def given_back(refunds: list[Json], currency: str) -> dict[str, ProviderRefund]:
    """Refunds by the key that each was asked for under; one that was done counts, whatever failed before it.

    iyzico documents what is done and what has failed. Anything else is pending: iyzico goes on trying. If one key has
    given money back twice, the amount is that of both: it differs from what is owed, which is noticed.
    """
    by_key: dict[str, ProviderRefund] = {}
    for state in (ProviderRefundState.FAILED, ProviderRefundState.PENDING, ProviderRefundState.SUCCEEDED):
        for refund in refunds:
            if REFUND_STATES.get(refund["refundStatus"], ProviderRefundState.PENDING) is state:
                amount, key = amount_of(refund["refundPrice"], currency), str(refund.get("refundConversationId"))
                before = by_key.get(key)
                if before and before.amount and before.state is not ProviderRefundState.FAILED:
                    amount = before.amount + amount
                by_key[key] = ProviderRefund(state=state, amount=amount)
    return by_key


def succeeded(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, if the call succeeded.

    Raises:
        PaymentDeclined: The bank refused the payment.
        PaymentRejected: iyzico refused the request itself.
        PaymentUnknown: iyzico does not know the outcome.
    """
    if answer.get("status") != "success":
        raise refusal(answer)
    return answer


def refusal(answer: Json) -> PaymentDeclined | PaymentRejected | PaymentUnknown:
    """The error for an answer that reports a failure; it is unknown if iyzico's own system failed."""
    code, message = code_of(answer), str(answer.get("errorMessage") or "no reason given")
    if code in SYSTEM_ERRORS or code in ("", IN_PROGRESS):
        return PaymentUnknown(message)
    if answer.get("errorGroup"):
        return PaymentDeclined(reason(answer), message)
    return PaymentRejected(code, message)


def code_of(answer: Json) -> str:
    """The error code of iyzico, or an empty string if it sent none."""
    return str(answer.get("errorCode") or "")


def reason(answer: Json) -> str:
    """Why a bank refused: its group, since many codes mean the same."""
    return str(answer.get("errorGroup") or code_of(answer) or "declined")


def read(text: str) -> dict[str, Any]:
    """An answer as JSON, with exact decimals for amounts.

    Raises:
        PaymentUnknown: It is not a JSON object, so it does not show the outcome.
    """
    try:
        answer = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise PaymentUnknown("iyzico's answer is not JSON")
    return answer
