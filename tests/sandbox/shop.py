"""A merchant that uses the sandbox through Stripe's own SDK."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import stripe

from sandbox.testing import API_KEY, SandboxProcess

# Otherwise the SDK writes an id of this machine into the home folder.
stripe.enable_telemetry = False


class Shop:
    """Stripe's stock SDK, without retries, paying for one booking of its own."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.sandbox = sandbox
        self.booking_id = str(uuid4())
        self.api = stripe.StripeClient(API_KEY, base_addresses={"api": sandbox.url}, max_network_retries=0).v1

    def open(self, amount: int = 5000, *, key: str | None = None, **given: Any) -> stripe.PaymentIntent:
        params: Any = {
            "amount": amount,
            "currency": "eur",
            "capture_method": "manual",
            "allowed_payment_method_types": ["card"],
            "metadata": {"booking_id": self.booking_id},
            **given,
        }
        return self.api.payment_intents.create(params, options(key))

    def confirm(self, intent_id: str, method: str = "pm_card_visa", *, key: str | None = None) -> stripe.PaymentIntent:
        return self.api.payment_intents.confirm(intent_id, {"payment_method": method}, options(key))

    def hold(self, amount: int = 5000, **given: Any) -> stripe.PaymentIntent:
        return self.open(amount, payment_method="pm_card_visa", confirm=True, **given)

    def taken(self, amount: int = 5000) -> stripe.PaymentIntent:
        return self.api.payment_intents.capture(self.hold(amount).id)

    def capture(self, intent_id: str, amount: int | None = None, *, key: str | None = None) -> stripe.PaymentIntent:
        params: Any = {} if amount is None else {"amount_to_capture": amount}
        return self.api.payment_intents.capture(intent_id, params, options(key))

    def refund(self, intent_id: str, amount: int | None = None, *, key: str | None = None) -> stripe.Refund:
        params: Any = {"payment_intent": intent_id} | ({} if amount is None else {"amount": amount})
        return self.api.refunds.create(params, options(key))

    def status(self, intent_id: str) -> str:
        return self.api.payment_intents.retrieve(intent_id).status

    def money(self) -> dict[str, int]:
        """The booking's entries in the provider's ledger, over all of its intents."""
        names = ("authorized", "captured", "released", "refunded", "held")
        intents = self.sandbox.intents(self.booking_id)
        return {name: sum(intent[name] for intent in intents) for name in names}


def options(key: str | None) -> Any:
    return {} if key is None else {"idempotency_key": key}
