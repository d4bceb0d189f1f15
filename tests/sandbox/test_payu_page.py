"""PayU's payment page: the buyer pays, is refused, authenticates or leaves, and can always return."""

from __future__ import annotations

import httpx2
import pytest

from sandbox.testing import SandboxProcess
from tests.sandbox.payu_shop import ORDERS, RETURN_URL, PayUShop


@pytest.fixture
def shop(sandbox: SandboxProcess) -> PayUShop:
    return PayUShop(sandbox)


def test_a_buyer_who_pays_is_redirected_to_the_merchant(shop: PayUShop) -> None:
    order_id, buyer = shop.opened()
    assert buyer.look() == "Pay for your order"
    assert buyer.pay("approved") == RETURN_URL
    assert shop.status(order_id) == "WAITING_FOR_CONFIRMATION"


@pytest.mark.parametrize("card", ["S51", "S05", "S54", "S43"])
def test_a_declined_buyer_is_redirected_with_an_error_and_the_order_is_cancelled(shop: PayUShop, card: str) -> None:
    order_id, buyer = shop.opened()
    assert buyer.pay(card) == f"{RETURN_URL}&error=501"
    assert (shop.status(order_id), shop.money()["authorized"]) == ("CANCELED", 0)
    (transaction,) = shop.http.get(f"{ORDERS}/{order_id}/transactions").json()["transactions"]
    assert transaction["card"]["cardData"]["cardResponseCode"] == card
    assert transaction["resultCode"] == "AUT_ERROR_NO_AUTHORIZATION"


@pytest.mark.parametrize(
    ("card", "outcome", "status"),
    [
        ("3ds", "approve", "WAITING_FOR_CONFIRMATION"),
        ("3ds", "fail", "CANCELED"),
        ("3ds-S51", "approve", "CANCELED"),
    ],
)
def test_the_outcome_of_three_d_secure_decides_the_order(shop: PayUShop, card: str, outcome: str, status: str) -> None:
    order_id, buyer = shop.opened()
    buyer.pay(card)
    assert (buyer.look(), shop.status(order_id)) == ("Approve this payment?", "PENDING")
    back = buyer.answer(outcome)
    assert back == (RETURN_URL if status != "CANCELED" else f"{RETURN_URL}&error=501")
    assert shop.status(order_id) == status


def test_a_buyer_who_leaves_the_page_may_return_and_pay(shop: PayUShop) -> None:
    order_id, buyer = shop.opened()
    page = buyer.at
    buyer.pay("3ds")
    assert shop.status(order_id) == "PENDING"
    buyer.at = page
    assert buyer.look() == "Approve this payment?"
    assert (shop.cancel(order_id).status_code, buyer.look()) == (200, "There is nothing left to pay here")


def test_a_second_submission_changes_nothing(shop: PayUShop) -> None:
    order_id, buyer = shop.opened()
    page = buyer.at
    for card in ("approved", "S51", "approved"):
        buyer.at = page
        assert buyer.pay(card) == RETURN_URL
    assert shop.money()["authorized"] == 5000
    assert shop.status(order_id) == "WAITING_FOR_CONFIRMATION"


def test_a_guessed_link_shows_and_does_nothing(shop: PayUShop) -> None:
    order_id, buyer = shop.opened()
    guessed = buyer.at.partition("token=")[0] + "token=guessed"
    for answer in (httpx2.get(guessed), httpx2.post(guessed, data={"card": "approved"})):
        assert answer.status_code == 404
        assert order_id not in answer.text
    assert shop.status(order_id) == "NEW"


def test_an_unknown_card_is_asked_for_again(shop: PayUShop) -> None:
    order_id, buyer = shop.opened()
    assert httpx2.post(buyer.at, data={"card": "platinum"}).status_code == 400
    assert shop.status(order_id) == "NEW"


def test_the_page_escapes_the_merchants_text(shop: PayUShop) -> None:
    _, buyer = shop.opened(description="<script>alert(1)</script>", continueUrl=None)
    answer = httpx2.get(buyer.at)
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_decline_can_be_scripted_with_its_code(shop: PayUShop) -> None:
    shop.sandbox.fault("decline", shop.booking_id, face="payu", operation="confirm", code="S61")
    order_id = shop.paid()
    (transaction,) = shop.http.get(f"{ORDERS}/{order_id}/transactions").json()["transactions"]
    assert transaction["card"]["cardData"]["cardResponseCode"] == "S61"
