"""A merchant with its own implementation of iyzico's protocol, which tests the sandbox without the gateway."""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

from sandbox.testing import SandboxProcess
from tests.iyzico_buyer import APPROVED, pay_with

API_KEY, SECRET_KEY = "sandbox-api-key", "sandbox-secret-key"
CALLBACK = "https://shop.example.test/back?a=1&b=2"

BUYER = {
    "id": "B1",
    "name": "Ada",
    "surname": "Lovelace",
    "identityNumber": "11111111111",
    "email": "ada@example.test",
    "registrationAddress": "Street 1",
    "city": "Istanbul",
    "country": "Turkey",
    "ip": "85.34.78.112",
}
ADDRESS = {"contactName": "Ada Lovelace", "city": "Istanbul", "country": "Turkey", "address": "Street 1"}


class IyzicoShop:
    """Pays for one booking of its own."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.sandbox = sandbox
        self.booking_id = str(uuid4())

    def initialize(self, price: str = "50.00", **changes: Any) -> dict[str, Any]:
        item = {"id": "I1", "name": "Seat", "category1": "Tickets", "itemType": "VIRTUAL", "price": price}
        request = {
            "locale": "en",
            "conversationId": f"{self.booking_id}:create:1",
            "price": price,
            "paidPrice": price,
            "currency": "TRY",
            "basketId": self.booking_id,
            "callbackUrl": CALLBACK,
            "buyer": BUYER,
            "billingAddress": ADDRESS,
            "basketItems": [item],
            **changes,
        }
        given = {name: value for name, value in request.items() if value is not None}
        return self.post("/payment/iyzipos/checkoutform/initialize/preauth/ecom", given)

    def form(self, token: str) -> dict[str, Any]:
        return self.post("/payment/iyzipos/checkoutform/auth/ecom/detail", {"token": token, "conversationId": "look"})

    def held(self, price: str = "50.00", card: str = APPROVED) -> dict[str, Any]:
        """Pay a form; returns its retrieval."""
        form = self.initialize(price)
        pay_with(form["paymentPageUrl"], card)
        return self.form(form["token"])

    def taken(self, price: str = "50.00") -> str:
        """Pay and capture; returns the payment's id."""
        payment_id = str(self.held(price)["paymentId"])
        assert self.postauth(payment_id)["status"] == "success"
        return payment_id

    def postauth(self, payment_id: str, **more: Any) -> dict[str, Any]:
        request = {"paymentId": payment_id, "ip": "85.34.78.112", "conversationId": "capture"}
        return self.post("/payment/postauth", request | more)

    def cancel(self, payment_id: str) -> dict[str, Any]:
        return self.post("/payment/cancel", {"paymentId": payment_id, "conversationId": "cancel"})

    def refund(self, payment_id: str, price: str, conversation_id: str = "refund") -> dict[str, Any]:
        request = {"paymentId": payment_id, "price": price, "conversationId": conversation_id}
        return self.post("/v2/payment/refund", request)

    def report(self, payment_id: str) -> dict[str, Any]:
        answer = self.call("GET", "/v2/reporting/payment/details", query=f"?paymentId={payment_id}")
        [report] = answer["payments"]
        return dict(report)

    def post(self, path: str, request: Any) -> dict[str, Any]:
        return self.call("POST", path, json.dumps(request))

    def call(
        self,
        method: str,
        path: str,
        body: str = "",
        *,
        query: str = "",
        key: str = API_KEY,
        secret: str = SECRET_KEY,
        sent: str | None = None,
    ) -> dict[str, Any]:
        """Send one signed call; `sent` replaces the body after signing."""
        signature = hmac.new(secret.encode(), f"R1{path}{body}".encode(), sha256).hexdigest()
        signed = base64.b64encode(f"apiKey:{key}&randomKey:R1&signature:{signature}".encode()).decode()
        return self.send(method, path + query, sent or body, {"Authorization": f"IYZWSv2 {signed}", "x-iyzi-rnd": "R1"})

    def send(self, method: str, path: str, body: str, headers: dict[str, str]) -> dict[str, Any]:
        request = Request(f"{self.sandbox.url}{path}", body.encode() or None, headers, method=method)
        try:
            with urlopen(request, timeout=60) as answer:
                assert answer.status == 200
                return dict(json.load(answer))
        except HTTPError as error:
            with error:
                return {"http": error.code}

    def money(self) -> dict[str, int]:
        """The booking's entries in the provider's ledger, over all of its forms."""
        names = ("authorized", "captured", "released", "refunded", "held")
        intents = self.sandbox.intents(self.booking_id)
        return {name: sum(intent[name] for intent in intents) for name in names}
