"""What a provider reports is compared with what is owed, and a difference alarms."""

from __future__ import annotations

from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from temporalio.exceptions import ApplicationError

from activities.payment.amounts import check_payment, check_refund, is_owed
from db.payment.attempts import Attempt, AttemptState
from domain.money import Money
from domain.payments import Intent, IntentState, ProviderRefund, ProviderRefundState

OWED = Money(amount=4500, currency="EUR")
ATTEMPT = Attempt(uuid4(), 1, "payu", OWED, AttemptState.OPEN, "intent", None, 0)
OPEN, ACTS, HELD, TAKEN, VOIDED = (
    IntentState.OPEN, IntentState.ACTION_REQUIRED, IntentState.AUTHORIZED, IntentState.CAPTURED, IntentState.VOIDED,
)  # fmt: skip


def intent(
    state: IntentState, amount: int | None, currency: str = "EUR", captured: int = 0, refunded: int = 0
) -> Intent:
    money = None if amount is None else Money(amount=amount, currency=currency)
    return Intent(id="intent", state=state, amount=money, captured=captured, refunded=refunded)


@pytest.mark.parametrize(
    ("reported", "owed"),
    [
        (intent(OPEN, 4500), True),
        (intent(ACTS, 4500), True),
        (intent(ACTS, None), True),
        (intent(VOIDED, None), True),
        (intent(HELD, 4500), True),
        (intent(TAKEN, 4500, captured=4500), True),
        (intent(OPEN, 4499), False),
        (intent(ACTS, 45, "KWD"), False),
        (intent(HELD, None), False),
        (intent(HELD, 4499), False),
        (intent(HELD, 4501), False),
        (intent(HELD, 4500, "USD"), False),
        (intent(TAKEN, None, captured=4500), False),
        (intent(TAKEN, 4500, captured=4499), False),
        (intent(TAKEN, 4500, captured=0), False),
        (intent(TAKEN, 4500, captured=4500, refunded=1), False),
        (intent(TAKEN, 4500, captured=4500, refunded=4500), False),
        (intent(TAKEN, 4501, captured=4500), False),
        (intent(TAKEN, 4500, "JPY", captured=4500), False),
    ],
)
def test_a_payment_is_what_is_owed_or_nothing_goes_on(reported: Intent, owed: bool) -> None:
    assert is_owed(ATTEMPT, reported) is owed
    if owed:
        check_payment(ATTEMPT, reported, "authorize")
    else:
        with pytest.raises(ApplicationError, match=r"owed are EUR 45\.00") as error:
            check_payment(ATTEMPT, reported, "authorize")
        assert (error.value.type, error.value.non_retryable) == ("AmountDiffers", True)


@pytest.mark.parametrize(
    "amount",
    [None, Money(amount=4499, currency="EUR"), Money(amount=4501, currency="EUR"), Money(amount=4500, currency="USD")],
)
def test_a_refund_of_other_money_than_is_owed_counts_neither_as_done_nor_as_failed(amount: Money | None) -> None:
    check_refund("stripe", "intent", OWED, ProviderRefund(state=ProviderRefundState.SUCCEEDED, amount=OWED))
    with pytest.raises(ApplicationError, match=r"owed are EUR 45\.00"):
        check_refund("stripe", "intent", OWED, ProviderRefund(state=ProviderRefundState.SUCCEEDED, amount=amount))


def test_a_difference_is_counted_and_logged_as_an_error() -> None:
    labels = {"provider": "payu", "step": "capture"}
    before = REGISTRY.get_sample_value("seatwright_payment_amount_differences_total", labels) or 0
    with capture_logs() as logs, pytest.raises(ApplicationError):
        check_payment(ATTEMPT, intent(TAKEN, 4500, captured=4400), "capture")
    assert REGISTRY.get_sample_value("seatwright_payment_amount_differences_total", labels) == before + 1
    assert logs == [
        {
            "event": "payment_amount_differs", "log_level": "error", "provider": "payu", "step": "capture",
            "intent_id": "intent", "owed": "EUR 45.00",
            "reported": "EUR 45.00, captured EUR 44.00, refunded EUR 0.00",
        }
    ]  # fmt: skip
