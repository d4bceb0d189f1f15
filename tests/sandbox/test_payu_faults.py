"""Faults apply to the selected calls of PayU's API, with or without the effect."""

from __future__ import annotations

import httpx2
import pytest

from sandbox.testing import SandboxProcess
from tests.sandbox.payu_shop import ORDERS, PayUShop


@pytest.fixture
def shop(sandbox: SandboxProcess) -> PayUShop:
    return PayUShop(sandbox)


@pytest.mark.parametrize(
    ("kind", "is_done"), [("500_before", False), ("500_saved", False), ("500_after", True), ("429", False)]
)
def test_a_server_error_occurs_before_or_after_the_effect(shop: PayUShop, kind: str, is_done: bool) -> None:
    order_id = shop.paid()
    shop.sandbox.fault(kind, shop.booking_id, face="payu", operation="capture", retry_after=3)
    answer = shop.capture(order_id)
    assert answer.status_code == (429 if kind == "429" else 500)
    assert answer.headers.get("Retry-After") == ("3" if kind == "429" else None)
    assert shop.status(order_id) == ("COMPLETED" if is_done else "WAITING_FOR_CONFIRMATION")


@pytest.mark.parametrize(
    ("kind", "is_done"),
    [("timeout_before", False), ("timeout_after", True), ("reset_before", False), ("reset_after", True)],
)
def test_an_answer_is_lost_before_or_after_the_effect(shop: PayUShop, kind: str, is_done: bool) -> None:
    order_id = shop.paid()
    shop.sandbox.fault(kind, shop.booking_id, face="payu", operation="capture", delay_seconds=0.1)
    with pytest.raises(httpx2.TransportError):
        shop.capture(order_id)
    assert shop.status(order_id) == ("COMPLETED" if is_done else "WAITING_FOR_CONFIRMATION")
    (call,) = shop.sandbox.requests(shop.booking_id, "capture")
    assert (call["status"], call["faults"]) == (None, [kind])


def test_a_slow_call_takes_effect_after_the_client_has_disconnected(shop: PayUShop) -> None:
    order_id = shop.paid()
    shop.sandbox.fault("slow", shop.booking_id, face="payu", operation="cancel", delay_seconds=0.2)
    assert shop.cancel(order_id).status_code == 200
    assert shop.status(order_id) == "CANCELED"


def test_a_refused_capture_leaves_the_reservation(shop: PayUShop) -> None:
    order_id = shop.paid()
    shop.sandbox.fault("decline", shop.booking_id, face="payu", operation="capture")
    answer = shop.capture(order_id)
    assert (answer.status_code, answer.json()["status"]["statusCode"]) == (400, "BUSINESS_ERROR")
    assert shop.money()["held"] == 5000
    assert shop.capture(order_id).status_code == 200


def test_a_token_can_be_refused_for_a_while(own_sandbox: SandboxProcess) -> None:
    shop = PayUShop(own_sandbox)
    own_sandbox.call("POST", "/_sandbox/faults", {"kind": "500_before", "face": "payu", "operation": "token"})
    assert [shop.token().status_code for _ in range(2)] == [500, 200]


def test_a_fault_of_another_face_or_booking_does_not_strike(shop: PayUShop) -> None:
    shop.sandbox.fault("500_before", shop.booking_id, face="stripe")
    assert shop.create().status_code == 302
    assert shop.create(extOrderId=f"{PayUShop(shop.sandbox).booking_id}:1").status_code == 302


def test_chance_strikes_some_calls_and_the_same_ones_for_the_same_seed(shop: PayUShop) -> None:
    order_id, _ = shop.opened()

    def fates(seed: int) -> list[int]:
        rule = {"chance": 0.3, "seed": seed, "times": 1000}
        shop.sandbox.fault("500_before", shop.booking_id, face="payu", operation="list", **rule)
        path = f"{ORDERS}/{order_id}/refunds"
        statuses = [shop.http.get(path).status_code for _ in range(60)]
        for fault in shop.sandbox.call("GET", "/_sandbox/faults")["faults"]:
            if fault["booking_id"] == shop.booking_id:
                shop.sandbox.call("DELETE", f"/_sandbox/faults/{fault['id']}")
        return statuses

    first = fates(7)
    assert first == fates(7) != fates(8)
    assert 5 < first.count(500) < 40
