"""PayU's orders: authentication, required fields, and the states from new to completed or cancelled."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.testing import SandboxProcess
from tests.sandbox.payu_shop import ORDERS, RETURN_URL, PayUShop


@pytest.fixture
def shop(sandbox: SandboxProcess) -> PayUShop:
    return PayUShop(sandbox)


def test_a_token_requires_the_client_secret(shop: PayUShop) -> None:
    granted = shop.token().json()
    assert (granted["token_type"], granted["expires_in"]) == ("bearer", 43199)
    wrong = shop.token(client_secret="guessed")
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert shop.token(client_id="1").status_code == 401
    assert shop.token(grant_type="password").json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer guessed", "Basic MzAwNzQ2OnNlY3JldA=="])
def test_a_call_without_a_token_reads_and_changes_nothing(shop: PayUShop, header: str) -> None:
    order_id, _ = shop.opened()
    shop.http.headers["Authorization"] = header
    for method, path in (("POST", ORDERS), ("GET", f"{ORDERS}/{order_id}"), ("DELETE", f"{ORDERS}/{order_id}")):
        answer = shop.http.request(method, path)
        assert (answer.status_code, answer.json()["status"]["statusCode"]) == (401, "UNAUTHORIZED")
    shop.log_in()
    assert shop.status(order_id) == "NEW"


def test_an_ended_token_opens_nothing_any_more(shop: PayUShop) -> None:
    shop.sandbox.call("DELETE", "/_sandbox/payu/tokens")
    assert shop.create().status_code == 401


def test_a_new_order_redirects_to_its_payment_page(shop: PayUShop) -> None:
    answer = shop.create(extOrderId=f"{shop.booking_id}:create:1")
    body = answer.json()
    assert (answer.status_code, body["status"]["statusCode"]) == (302, "SUCCESS")
    assert body["redirectUri"] == answer.headers["Location"]
    order = shop.retrieve(body["orderId"])
    assert (order["status"], order["totalAmount"], order["currencyCode"]) == ("NEW", "5000", "EUR")
    assert (order["extOrderId"], order["validityTime"]) == (f"{shop.booking_id}:create:1", "86400")
    assert "redirectUri" not in order, "PayU tells the page only once"
    assert shop.money()["authorized"] == 0


@pytest.mark.parametrize(
    "field", ["customerIp", "merchantPosId", "description", "currencyCode", "totalAmount", "products"]
)
def test_a_missing_field_is_named(shop: PayUShop, field: str) -> None:
    answer = shop.create(**{field: None})
    status = answer.json()["status"]
    assert (answer.status_code, status["statusCode"]) == (400, "ERROR_VALUE_MISSING")
    assert field in status["statusDesc"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("customerIp", "0.0.0.0"),
        ("customerIp", "somewhere"),
        ("currencyCode", "JPY"),
        ("currencyCode", "eur"),
        ("totalAmount", 5000),
        ("totalAmount", "0"),
        ("totalAmount", "-5"),
        ("totalAmount", "50.00"),
        ("continueUrl", "javascript:alert(1)"),
        ("validityTime", "soon"),
        ("products", "tickets"),
        ("products", [{"name": "Ticket", "unitPrice": 5, "quantity": "1"}]),
        ("visibleDescription", "x" * 81),
        ("capture_method", "manual"),
    ],
)
def test_a_bad_value_is_refused_and_named(shop: PayUShop, field: str, value: Any) -> None:
    answer = shop.create(**{field: value})
    status = answer.json()["status"]
    assert (answer.status_code, status["statusCode"]) == (400, "ERROR_VALUE_INVALID")
    assert field in status["statusDesc"]
    assert shop.sandbox.intents(shop.booking_id) == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"totalAmount=5000"])
def test_a_body_that_is_not_a_json_object_is_a_syntax_error(shop: PayUShop, body: bytes) -> None:
    answer = shop.http.post(ORDERS, content=body)
    assert (answer.status_code, answer.json()["status"]["statusCode"]) == (400, "ERROR_SYNTAX")


def test_an_external_id_is_unique_within_a_point_of_sale(shop: PayUShop) -> None:
    first = shop.create(extOrderId=f"{shop.booking_id}:1").json()
    again = shop.create(extOrderId=f"{shop.booking_id}:1", totalAmount="6000")
    assert (again.status_code, again.json()["status"]["statusCode"]) == (400, "ERROR_ORDER_NOT_UNIQUE")
    assert again.json()["status"]["codeLiteral"] == "ORDER_NOT_UNIQUE"
    assert again.json()["orderId"] == first["orderId"]
    assert PayUShop(shop.sandbox, "300747").create(extOrderId=f"{shop.booking_id}:1").status_code == 302


def test_without_an_external_id_a_repeated_order_is_a_second_one(shop: PayUShop) -> None:
    assert shop.create(extOrderId=None).json()["orderId"] != shop.create(extOrderId=None).json()["orderId"]


def test_a_point_of_sale_reads_and_changes_only_its_own_orders(shop: PayUShop) -> None:
    order_id, other = shop.paid(), PayUShop(shop.sandbox, "300747")
    for answer in (
        other.http.get(f"{ORDERS}/{order_id}"),
        other.capture(order_id),
        other.cancel(order_id),
        other.refund(order_id),
    ):
        assert (answer.status_code, answer.json()["status"]["statusCode"]) == (404, "DATA_NOT_FOUND")
    foreign = other.create(merchantPosId=shop.point.id)
    assert (foreign.status_code, foreign.json()["status"]["codeLiteral"]) == (403, "INVALID_AUTH_FOR_THIS_ORDER")
    assert shop.status(order_id) == "WAITING_FOR_CONFIRMATION"


def test_a_payment_waits_for_confirmation_and_is_then_completed_once(shop: PayUShop) -> None:
    order_id = shop.paid()
    assert (shop.status(order_id), shop.money()["held"]) == ("WAITING_FOR_CONFIRMATION", 5000)
    assert shop.capture(order_id).json()["status"]["statusCode"] == "SUCCESS"
    assert (shop.status(order_id), shop.money()["captured"]) == ("COMPLETED", 5000)
    for again in (shop.capture(order_id), shop.cancel(order_id)):
        assert (again.status_code, again.json()["status"]["statusCode"]) == (400, "ERROR_VALUE_INVALID")
    assert shop.money() == {"authorized": 5000, "captured": 5000, "released": 0, "refunded": 0, "held": 0}


def test_the_older_way_to_capture_works_too(shop: PayUShop) -> None:
    order_id = shop.paid()
    path = f"{ORDERS}/{order_id}/status"
    assert shop.http.put(path, json={"orderId": order_id, "orderStatus": "CANCELED"}).status_code == 400
    assert shop.http.put(path, json={"orderId": order_id, "orderStatus": "COMPLETED"}).status_code == 200
    assert shop.status(order_id) == "COMPLETED"


def test_a_partial_capture_releases_the_rest(shop: PayUShop) -> None:
    order_id = shop.paid()
    assert shop.capture(order_id, amount="5001", currencyCode="EUR").status_code == 400
    assert shop.capture(order_id, amount="3000", currencyCode="EUR").status_code == 200
    assert shop.money() == {"authorized": 5000, "captured": 3000, "released": 2000, "refunded": 0, "held": 0}


@pytest.mark.parametrize("is_paid", [False, True])
def test_an_order_is_cancelled_once_and_releases_all_money(shop: PayUShop, is_paid: bool) -> None:
    order_id = shop.paid() if is_paid else shop.opened()[0]
    assert shop.cancel(order_id).json()["orderId"] == order_id
    assert (shop.status(order_id), shop.money()["held"]) == ("CANCELED", 0)
    assert shop.cancel(order_id).status_code == 400
    assert shop.capture(order_id).status_code == 400


def test_with_automatic_receive_the_money_is_captured_at_once(shop: PayUShop) -> None:
    automatic = PayUShop(shop.sandbox, "300747")
    assert automatic.status(automatic.paid()) == "COMPLETED"
    assert automatic.money()["captured"] == 5000


def test_an_expired_hold_cancels_its_order(shop: PayUShop) -> None:
    order_id = shop.paid()
    shop.sandbox.call("POST", f"/_sandbox/intents/{order_id}/expire")
    assert (shop.status(order_id), shop.money()["held"]) == ("CANCELED", 0)
    assert shop.capture(order_id).status_code == 400


def test_an_order_that_is_not_paid_in_time_is_cancelled(shop: PayUShop) -> None:
    order_id, buyer = shop.opened(validityTime="0")
    assert buyer.pay("approved") == f"{RETURN_URL}&error=501"
    assert (shop.status(order_id), shop.money()["authorized"]) == ("CANCELED", 0)


def test_the_ledger_and_the_call_log_have_the_booking_of_an_order(shop: PayUShop) -> None:
    order_id = shop.completed()
    entries = shop.sandbox.ledger(shop.booking_id)["entries"]
    assert [(each["kind"], each["amount"], each["intent_id"]) for each in entries] == [
        ("hold", 5000, order_id),
        ("capture", 5000, order_id),
    ]
    for operation in ("create", "confirm", "capture"):
        (call,) = shop.sandbox.requests(shop.booking_id, operation)
        assert (call["face"], call["intent_id"]) == ("payu", order_id)


def test_orders_survive_a_kill_of_the_sandbox_but_tokens_do_not(own_sandbox: SandboxProcess) -> None:
    shop = PayUShop(own_sandbox)
    order_id = shop.paid()
    own_sandbox.kill()
    own_sandbox.start()
    assert shop.capture(order_id).status_code == 401
    shop.log_in()
    assert shop.capture(order_id).status_code == 200
