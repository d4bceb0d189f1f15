"""Compares the amount and currency that a provider reports with what is owed; a difference is never ignored."""

from __future__ import annotations

from typing import Final

import structlog
from prometheus_client import Counter
from temporalio.exceptions import ApplicationError

from db.payment.attempts import Attempt
from domain.money import Money, format_money
from domain.payments import Intent, IntentState, ProviderRefund

AMOUNT_DIFFERS: Final = "AmountDiffers"
"""The type of the error by which a saga learns of a difference. No repetition changes it."""

_differences = Counter(
    "seatwright_payment_amount_differences",
    "Amounts or currencies that a provider reports and that are not those owed: alert on any",
    ["provider", "step"],
)

log = structlog.get_logger()


def is_owed(attempt: Attempt, intent: Intent) -> bool:
    """Whether an intent has the amount and currency that its attempt owes; if it is captured, all of it is there.

    What the provider has given back already, for example by its dashboard, pays for nothing. An intent whose provider
    does not report the amount yet passes, unless money is reserved or captured.
    """
    has_money = intent.state in (IntentState.AUTHORIZED, IntentState.CAPTURED)
    is_asked = intent.amount == attempt.amount or (intent.amount is None and not has_money)
    is_there = intent.state is not IntentState.CAPTURED or intent.captured - intent.refunded == attempt.amount.amount
    return is_asked and is_there


def check_payment(attempt: Attempt, intent: Intent, step: str) -> None:
    """Check that an intent is for what is owed, as `is_owed` says.

    Args:
        attempt: What is owed.
        intent: As the provider describes it.
        step: What is being done, for the alarm.

    Raises:
        ApplicationError: There is a difference (`AMOUNT_DIFFERS`).
    """
    if not is_owed(attempt, intent):
        raise alarm(attempt, intent, step)


def check_refund(provider: str, intent_id: str, owed: Money, given: ProviderRefund) -> None:
    """Check that a refund is of what is owed.

    Raises:
        ApplicationError: There is a difference (`AMOUNT_DIFFERS`).
    """
    if given.amount != owed:
        raise _alarm(provider, "refund", intent_id, owed, _written(given.amount))


def alarm(attempt: Attempt, intent: Intent, step: str) -> ApplicationError:
    """Alarm operators of an intent that is not for what is owed; returns the error to raise."""
    reported = _written(intent.amount)
    if intent.amount and intent.state is IntentState.CAPTURED:
        captured, refunded = (format_money(each, intent.amount.currency) for each in (intent.captured, intent.refunded))
        reported += f", captured {captured}, refunded {refunded}"
    return _alarm(attempt.provider, step, intent.id, attempt.amount, reported)


def _alarm(provider: str, step: str, intent_id: str, owed: Money, reported: str) -> ApplicationError:
    _differences.labels(provider, step).inc()
    words = _written(owed)
    log.error(
        "payment_amount_differs", provider=provider, step=step, intent_id=intent_id, owed=words, reported=reported
    )
    message = f"{provider} reports {reported} for {intent_id} at {step}; owed are {words}"
    return ApplicationError(message, type=AMOUNT_DIFFERS, non_retryable=True)


def _written(money: Money | None) -> str:
    return format_money(money.amount, money.currency) if money else "no amount"
