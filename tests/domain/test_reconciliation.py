"""How two books of one payment may differ, and what is no difference."""

from __future__ import annotations

import pytest

from domain.money import Money
from domain.payments import Intent, IntentState
from domain.reconciliation import DifferenceKind, LedgerAmounts, compare

NOTHING = LedgerAmounts(currency="EUR")
RESERVED = LedgerAmounts(currency="EUR", is_known=True, held=5000)
LET_GO = LedgerAmounts(currency="EUR", is_known=True)
TAKEN = LedgerAmounts(currency="EUR", is_known=True, captured=5000)
PARTLY_BACK = TAKEN.model_copy(update={"refunded": 2000})
ON_ITS_WAY = TAKEN.model_copy(update={"pending": 2000})

MISSING_HERE, MISSING_THERE = DifferenceKind.MISSING_HERE, DifferenceKind.MISSING_THERE
DISPUTED = TAKEN.model_copy(update={"disputed": 5000})
LOST = DISPUTED.model_copy(update={"refunded": 5000})
AMOUNT, CURRENCY, STATE = DifferenceKind.AMOUNT, DifferenceKind.CURRENCY, DifferenceKind.STATE


def intent(
    state: IntentState, captured: int = 0, refunded: int = 0, price: int = 5000, currency: str = "EUR"
) -> Intent:
    money = Money(amount=price, currency=currency)
    return Intent(id="pi_1", state=state, amount=money, captured=captured, refunded=refunded)


S = IntentState
CASES: dict[str, tuple[LedgerAmounts, Intent | None, DifferenceKind | None]] = {
    "nothing on either side": (NOTHING, None, None),
    "a form that was not paid": (NOTHING, intent(S.ACTION_REQUIRED), None),
    "a declined payment": (NOTHING, intent(S.VOIDED), None),
    "reserved": (RESERVED, intent(S.AUTHORIZED), None),
    "let go": (LET_GO, intent(S.VOIDED), None),
    "taken": (TAKEN, intent(S.CAPTURED, 5000), None),
    "partly given back": (PARTLY_BACK, intent(S.CAPTURED, 5000, 2000), None),
    "a refund on its way, not there yet": (ON_ITS_WAY, intent(S.CAPTURED, 5000), None),
    "a refund on its way, arrived": (ON_ITS_WAY, intent(S.CAPTURED, 5000, 2000), None),
    "more back than was asked for": (ON_ITS_WAY, intent(S.CAPTURED, 5000, 2001), AMOUNT),
    "given back there alone": (TAKEN, intent(S.CAPTURED, 5000, 2000), AMOUNT),
    "given back here alone": (PARTLY_BACK, intent(S.CAPTURED, 5000), AMOUNT),
    "less taken": (TAKEN, intent(S.CAPTURED, 4000), AMOUNT),
    "less reserved": (RESERVED, intent(S.AUTHORIZED, price=4000), AMOUNT),
    "reserved in another currency": (RESERVED, intent(S.AUTHORIZED, currency="USD"), CURRENCY),
    "disputed": (DISPUTED, intent(S.CAPTURED, 5000), DifferenceKind.DISPUTE),
    "disputed, and posted as given back": (LOST, intent(S.CAPTURED, 5000), None),
    "disputed, and given back there as well": (DISPUTED, intent(S.CAPTURED, 5000, 1000), AMOUNT),
    "disputed, and unknown there": (DISPUTED, None, MISSING_THERE),
    "taken in another currency": (TAKEN, intent(S.CAPTURED, 5000, currency="USD"), CURRENCY),
    "taken, and we know nothing": (NOTHING, intent(S.CAPTURED, 5000), MISSING_HERE),
    "reserved, and we know nothing": (NOTHING, intent(S.AUTHORIZED), MISSING_HERE),
    "taken here, unknown there": (TAKEN, None, MISSING_THERE),
    "taken here, never paid there": (TAKEN, intent(S.ACTION_REQUIRED), MISSING_THERE),
    "reserved here, unknown there": (RESERVED, None, MISSING_THERE),
    "taken there, reserved here": (RESERVED, intent(S.CAPTURED, 5000), STATE),
    "reserved there, taken here": (TAKEN, intent(S.AUTHORIZED), STATE),
    "reserved there, let go here": (LET_GO, intent(S.AUTHORIZED), STATE),
    "let go there, reserved here": (RESERVED, intent(S.VOIDED), STATE),
}


@pytest.mark.parametrize("case", CASES)
def test_two_books_of_one_payment(case: str) -> None:
    ours, theirs, expected = CASES[case]
    assert compare(ours, theirs) is expected
