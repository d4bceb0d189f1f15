"""Pending refunds count as refunded; a failed one returns the money to the merchant."""

from __future__ import annotations

import pytest

from sandbox.testing import ControlError
from tests.sandbox.shop import Shop


def pending(shop: Shop, amount: int = 1000) -> str:
    taken = shop.taken()
    shop.sandbox.fault("processing", shop.booking_id, operation="refund")
    refund = shop.refund(taken.id, amount)
    assert refund.status == "pending"
    return refund.id


@pytest.mark.parametrize(("outcome", "refunded"), [("succeeded", 1000), ("failed", 0)])
def test_a_pending_refund_is_decided_once(shop: Shop, outcome: str, refunded: int) -> None:
    refund = pending(shop)
    assert shop.money()["refunded"] == 1000
    shop.sandbox.call("POST", f"/_sandbox/refunds/{refund}/settle", {"outcome": outcome})
    assert shop.api.refunds.retrieve(refund).status == outcome
    assert shop.money()["refunded"] == refunded
    with pytest.raises(ControlError) as again:
        shop.sandbox.call("POST", f"/_sandbox/refunds/{refund}/settle", {"outcome": "succeeded"})
    assert again.value.status == 409


def test_a_succeeded_refund_may_fail_later_and_returns_the_money_to_the_merchant(shop: Shop) -> None:
    refund = pending(shop)
    for outcome in ("succeeded", "failed"):
        shop.sandbox.call("POST", f"/_sandbox/refunds/{refund}/settle", {"outcome": outcome})
    assert shop.api.refunds.retrieve(refund).status == "failed"
    assert shop.money()["refunded"] == 0


def test_a_failed_refund_can_be_repeated_and_the_ledger_balances(shop: Shop) -> None:
    refund = pending(shop, 5000)
    shop.sandbox.call("POST", f"/_sandbox/refunds/{refund}/settle", {"outcome": "failed"})
    intent = shop.sandbox.intents(shop.booking_id)[0]["id"]
    assert shop.refund(intent, 5000).status == "succeeded"
    kinds = [entry["kind"] for entry in shop.sandbox.ledger(shop.booking_id)["entries"]]
    assert kinds == ["hold", "capture", "refund", "refund_failure", "refund"]
    balances = shop.sandbox.call("GET", "/_sandbox/balances")["balances"]
    assert sum(each["balance"] for each in balances) == 0


@pytest.mark.parametrize(
    ("refund", "body", "status"), [("re_none", {"outcome": "failed"}, 404), ("re_none", {"outcome": "maybe"}, 400)]
)
def test_a_wrong_decision_is_refused(shop: Shop, refund: str, body: dict[str, str], status: int) -> None:
    with pytest.raises(ControlError) as refused:
        shop.sandbox.call("POST", f"/_sandbox/refunds/{refund}/settle", body)
    assert refused.value.status == status
