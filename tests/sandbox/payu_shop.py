"""A merchant that follows PayU's API reference over plain HTTP."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx2

from sandbox.payu.points import POINTS, Point
from sandbox.testing import SandboxProcess
from tests.payu_buyer import PayUBuyer

TOKEN_PATH = "/payu/pl/standard/user/oauth/authorize"
ORDERS = "/payu/api/v2_1/orders"
RETURN_URL = "https://shop.example.test/thanks?order=1"


class PayUShop:
    """One point of sale, with one booking of its own."""

    def __init__(self, sandbox: SandboxProcess, pos_id: str = "300746") -> None:
        self.sandbox = sandbox
        self.point: Point = POINTS[pos_id]
        self.booking_id = str(uuid4())
        self.http = httpx2.Client(base_url=sandbox.url, timeout=60)
        self.log_in()

    def token(self, **given: str) -> httpx2.Response:
        form = {"client_id": self.point.id, "client_secret": self.point.client_secret}
        return self.http.post(TOKEN_PATH, data={"grant_type": "client_credentials", **form, **given})

    def log_in(self) -> None:
        self.http.headers["Authorization"] = f"Bearer {self.token().json()['access_token']}"

    def order(self, **given: Any) -> dict[str, Any]:
        """The body of an order; None leaves a field out."""
        body = {
            "extOrderId": f"{self.booking_id}:create:{uuid4()}",
            "merchantPosId": self.point.id,
            "customerIp": "127.0.0.1",
            "description": "Two tickets",
            "currencyCode": "EUR",
            "totalAmount": "5000",
            "products": [{"name": "Ticket", "unitPrice": "2500", "quantity": "2"}],
            "continueUrl": RETURN_URL,
        } | given
        return {name: value for name, value in body.items() if value is not None}

    def create(self, **given: Any) -> httpx2.Response:
        return self.http.post(ORDERS, json=self.order(**given))

    def opened(self, **given: Any) -> tuple[str, PayUBuyer]:
        """Create an order; returns its id and the buyer at the payment page."""
        answer = self.create(**given)
        assert answer.status_code == 302, answer.text
        return answer.json()["orderId"], PayUBuyer(answer.headers["Location"])

    def paid(self, card: str = "approved", **given: Any) -> str:
        order_id, buyer = self.opened(**given)
        buyer.pay(card)
        return order_id

    def completed(self) -> str:
        order_id = self.paid()
        assert self.capture(order_id).status_code == 200
        return order_id

    def retrieve(self, order_id: str) -> dict[str, Any]:
        (order,) = self.http.get(f"{ORDERS}/{order_id}").json()["orders"]
        assert isinstance(order, dict)
        return order

    def status(self, order_id: str) -> str:
        return str(self.retrieve(order_id)["status"])

    def capture(self, order_id: str, **body: str) -> httpx2.Response:
        return self.http.post(f"{ORDERS}/{order_id}/captures", json=body)

    def cancel(self, order_id: str) -> httpx2.Response:
        return self.http.delete(f"{ORDERS}/{order_id}")

    def refund(self, order_id: str, **refund: str) -> httpx2.Response:
        return self.http.post(f"{ORDERS}/{order_id}/refunds", json={"refund": {"description": "Refund", **refund}})

    def refunds(self, order_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get(f"{ORDERS}/{order_id}/refunds").json()
        return found

    def money(self) -> dict[str, int]:
        """The booking's entries in the provider's ledger, over all of its orders."""
        names = ("authorized", "captured", "released", "refunded", "held")
        intents = self.sandbox.intents(self.booking_id)
        return {name: sum(intent[name] for intent in intents) for name in names}
