"""The provider APIs report the movements of a day, like their providers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Unpack

import pytest
import stripe
from stripe.params import BalanceTransactionListParams

from sandbox.testing import SandboxProcess
from tests.sandbox.iyzico_shop import IyzicoShop
from tests.sandbox.shop import Shop

DAILY = "/v2/reporting/payment/transactions"


def balance_of(shop: Shop, *intents: str) -> list[stripe.BalanceTransaction]:
    """The balance transactions of these intents, newest first, by the SDK's own paging."""
    listed = shop.api.balance_transactions.list({"limit": 2, "expand": ["data.source"]})
    return [each for each in listed.auto_paging_iter() if source_of(each).payment_intent in intents]


def source_of(transaction: stripe.BalanceTransaction) -> stripe.Charge | stripe.Refund | stripe.Dispute:
    assert isinstance(transaction.source, stripe.Charge | stripe.Refund | stripe.Dispute)
    return transaction.source


def test_stripes_balance_has_signed_captures_and_refunds_with_fees_but_no_holds(shop: Shop) -> None:
    held, taken = shop.hold(3000), shop.taken(5000)
    refund = shop.refund(taken.id, 2000)
    back, charge = balance_of(shop, held.id, taken.id)
    assert (charge.type, charge.amount, charge.fee, charge.net) == ("charge", 5000, 100, 4900)
    assert (back.type, back.amount, back.fee, back.net) == ("refund", -2000, 0, -2000)
    assert (source_of(charge).object, source_of(back).id) == ("charge", refund.id)
    metadata = source_of(charge).metadata
    assert metadata is not None
    assert metadata["booking_id"] == shop.booking_id


def test_a_failed_refund_returns_to_stripes_balance(shop: Shop) -> None:
    taken = shop.taken()
    shop.sandbox.fault("processing", shop.booking_id, operation="refund")
    refund = shop.refund(taken.id)
    shop.sandbox.call("POST", f"/_sandbox/refunds/{refund.id}/settle", {"outcome": "failed"})
    assert [(each.type, each.amount) for each in balance_of(shop, taken.id)] == [
        ("refund_failure", 5000), ("refund", -5000), ("charge", 5000),
    ]  # fmt: skip


def test_a_dispute_is_an_adjustment_of_stripes_balance_with_a_fee_until_it_is_won(shop: Shop) -> None:
    taken = shop.taken()
    for outcome in ("opened", "won"):
        shop.sandbox.call("POST", f"/_sandbox/intents/{taken.id}/dispute", {"outcome": outcome})
        if outcome == "opened":
            with pytest.raises(stripe.InvalidRequestError, match="charged back"):
                shop.refund(taken.id)
    listed = shop.api.balance_transactions.list({"type": "adjustment", "expand": ["data.source"]}).auto_paging_iter()
    ours = [each for each in listed if getattr(each.source, "payment_intent", None) == taken.id]
    assert [(each.reporting_category, each.amount, each.fee, each.net) for each in ours] == [
        ("dispute_reversal", 5000, 0, 5000), ("dispute", -5000, 2000, -7000),
    ]  # fmt: skip


def test_stripes_balance_is_listed_by_time_and_type(shop: Shop) -> None:
    taken = shop.taken()
    [charge] = balance_of(shop, taken.id)
    now = charge.created

    def listed(**given: Unpack[BalanceTransactionListParams]) -> list[str]:
        return [each.id for each in shop.api.balance_transactions.list({"limit": 100, **given}).auto_paging_iter()]

    assert charge.id in listed(created={"gte": now, "lt": now + 1})
    assert charge.id not in listed(created={"gte": now + 1})
    assert charge.id not in listed(created={"lt": now})
    assert charge.id in listed(type="charge")
    assert charge.id not in listed(type="refund")


@pytest.mark.parametrize("wrong", [{"limit": 101}, {"type": "payday"}, {"since": 1}])
def test_stripes_balance_refuses_the_queries_that_stripe_refuses(shop: Shop, wrong: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        shop.api.balance_transactions.list(wrong)  # type: ignore[arg-type]


def day_of(shop: IyzicoShop, day: str = "", page: int = 1) -> dict[str, Any]:
    day = day or f"{datetime.now(UTC):%Y-%m-%d}"
    return shop.call("GET", DAILY, query=f"?transactionDate={day}&page={page}")


def test_iyzicos_report_of_a_day_has_each_step_of_a_payment_with_the_commission(sandbox: SandboxProcess) -> None:
    shop = IyzicoShop(sandbox)
    payment = shop.taken("50.00")
    shop.refund(payment, "20.00", "our-key")
    pages = day_of(shop)["totalPageCount"]
    rows = [row for page in range(1, pages + 1) for row in day_of(shop, page=page)["transactions"]]
    ours = [row for row in rows if row["basketId"] == shop.booking_id]
    assert [(row["transactionType"], row["paymentPhase"], row["paidPrice"]) for row in ours] == [
        ("PAYMENT", "PRE_AUTH", 50.0), ("PAYMENT", "POST_AUTH", 50.0), ("REFUND", "POST_AUTH", 20.0),
    ]  # fmt: skip
    assert [(row.get("iyzicoCommission"), row.get("iyzicoFee")) for row in ours] == [
        (None, None), (1.45, 0.25), (None, None),
    ]  # fmt: skip
    assert {str(row["paymentId"]) for row in ours} == {payment}
    assert ours[-1]["conversationId"] == "our-key"


def test_iyzicos_report_of_a_day_without_payments_is_one_empty_page(sandbox: SandboxProcess) -> None:
    report = day_of(IyzicoShop(sandbox), "2020-02-29")
    assert (report["status"], report["transactions"], report["totalPageCount"]) == ("success", [], 1)


@pytest.mark.parametrize("query", ["", "?transactionDate=today", "?transactionDate=2026-11-23&page=0", "?day=1"])
def test_iyzicos_report_refuses_an_invalid_day_or_page(sandbox: SandboxProcess, query: str) -> None:
    assert IyzicoShop(sandbox).call("GET", DAILY, query=query)["status"] == "failure"


def test_iyzicos_report_is_not_for_strangers(sandbox: SandboxProcess) -> None:
    shop = IyzicoShop(sandbox)
    answer = shop.call("GET", DAILY, query="?transactionDate=2026-11-23", secret="guessed")
    assert answer["status"] == "failure"
