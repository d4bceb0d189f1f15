"""PayU's refunds: queued, final or cancelled; never above the captured amount, once for each id."""

from __future__ import annotations

import pytest

from sandbox.testing import ControlError, SandboxProcess
from tests.sandbox.payu_shop import PayUShop


@pytest.fixture
def shop(sandbox: SandboxProcess) -> PayUShop:
    return PayUShop(sandbox)


def test_a_refund_is_pending_when_it_is_answered_and_final_afterwards(shop: PayUShop) -> None:
    order_id = shop.completed()
    answer = shop.refund(order_id, amount="2000", currencyCode="EUR", extRefundId="r1").json()
    assert (answer["orderId"], answer["refund"]["status"], answer["refund"]["amount"]) == (order_id, "PENDING", "2000")
    (refund,) = shop.refunds(order_id)
    assert (refund["status"], refund["extRefundId"]) == ("FINALIZED", "r1")
    assert shop.money()["refunded"] == 2000


def test_a_refund_without_an_amount_returns_the_rest(shop: PayUShop) -> None:
    order_id = shop.completed()
    shop.refund(order_id, amount="1999")
    assert shop.refund(order_id).json()["refund"]["amount"] == "3001"
    assert shop.money()["refunded"] == 5000


def test_the_same_external_id_is_the_same_refund(shop: PayUShop) -> None:
    order_id = shop.completed()
    ids = {shop.refund(order_id, amount="2000", extRefundId="r1").json()["refund"]["refundId"] for _ in range(3)}
    assert len(ids) == 1
    other = shop.refund(order_id, amount="2001", extRefundId="r1")
    assert other.json()["status"]["codeLiteral"] == "REFUND_IDEMPOTENCY_MISMATCH"
    assert shop.money()["refunded"] == 2000


def test_without_an_external_id_a_repeated_refund_is_a_second_one(shop: PayUShop) -> None:
    order_id = shop.completed()
    for _ in range(2):
        shop.refund(order_id, amount="2000")
    assert shop.money()["refunded"] == 4000


@pytest.mark.parametrize(("amount", "literal"), [("5001", "AMOUNT_TO_BIG"), ("0", "AMOUNT_TO_SMALL")])
def test_a_refund_is_positive_and_at_most_the_captured_amount(shop: PayUShop, amount: str, literal: str) -> None:
    answer = shop.refund(shop.completed(), amount=amount)
    assert (answer.status_code, answer.json()["status"]["codeLiteral"]) == (400, literal)
    assert shop.money()["refunded"] == 0


def test_a_fully_refunded_order_cannot_be_refunded_again(shop: PayUShop) -> None:
    order_id = shop.completed()
    shop.refund(order_id)
    assert shop.refund(order_id).json()["status"]["codeLiteral"] == "PAID"


def test_money_that_was_not_captured_cannot_be_refunded(shop: PayUShop) -> None:
    assert shop.refund(shop.paid()).json()["status"]["codeLiteral"] == "TRANS_NOT_ENDED"


def test_another_currency_is_refused(shop: PayUShop) -> None:
    assert shop.refund(shop.completed(), amount="100", currencyCode="PLN").status_code == 400


def test_a_pending_refund_binds_its_amount_and_moves_nothing_yet(shop: PayUShop) -> None:
    order_id = shop.completed()
    shop.sandbox.fault("processing", shop.booking_id, face="payu", operation="refund")
    number = shop.refund(order_id, amount="3000").json()["refund"]["refundId"]
    assert (shop.refunds(order_id)[0]["status"], shop.money()["refunded"]) == ("PENDING", 0)
    assert shop.refund(order_id, amount="2001").json()["status"]["codeLiteral"] == "AMOUNT_TO_BIG"
    settled = shop.sandbox.call("POST", f"/_sandbox/payu/refunds/{number}/settle", {"outcome": "approved"})
    assert (settled["status"], shop.money()["refunded"]) == ("FINALIZED", 3000)
    with pytest.raises(ControlError) as again:
        shop.sandbox.call("POST", f"/_sandbox/payu/refunds/{number}/settle", {"outcome": "declined"})
    assert again.value.status == 404


def test_a_cancelled_refund_returns_nothing_and_frees_its_amount(shop: PayUShop) -> None:
    order_id = shop.completed()
    shop.sandbox.fault("decline", shop.booking_id, face="payu", operation="refund")
    assert shop.refund(order_id, extRefundId="r1").json()["refund"]["status"] == "PENDING"
    (refund,) = shop.refunds(order_id)
    assert (refund["status"], refund["statusError"]["code"]) == ("CANCELED", "BANK_REJECTED")
    assert shop.money()["refunded"] == 0
    assert shop.refund(order_id, extRefundId="r1").json()["refund"]["status"] == "CANCELED", "the same refund again"
    shop.refund(order_id, extRefundId="r2")
    assert shop.money()["refunded"] == 5000
