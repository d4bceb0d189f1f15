"""What Stripe tells a shop of a payment intent: the event, and the signature that proves it."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from hashlib import sha256

import orjson

from sandbox.intents import Intent, State
from sandbox.stripe.objects import Renderer
from sandbox.webhooks import Webhooks

TYPES = {
    State.OPEN: "payment_intent.payment_failed",
    State.ACTION_REQUIRED: "payment_intent.requires_action",
    State.PROCESSING: "payment_intent.processing",
    State.AUTHORIZED: "payment_intent.amount_capturable_updated",
    State.CAPTURED: "payment_intent.succeeded",
    State.VOIDED: "payment_intent.canceled",
}
WANTED = tuple(f"payment_intent.{name}" for name in ("amount_capturable_updated", "succeeded", "payment_failed"))
"""The types that a shop of ours asks for when it does not say which."""


class Messages:
    """Tells each change of an intent in Stripe's words."""

    def __init__(self, webhooks: Webhooks, renderer: Renderer, api_version: str) -> None:
        self._webhooks = webhooks
        self._renderer = renderer
        self._api_version = api_version
        webhooks.sign_with("stripe", sign)

    def announce(self, intent: Intent) -> None:
        """Tell where the intent stands now."""
        event_id = f"evt_{secrets.token_hex(12)}"
        body = {
            "id": event_id,
            "object": "event",
            "api_version": self._api_version,
            "created": int(time.time()),
            "data": {"object": self._renderer.payment_intent(intent)},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": TYPES[intent.state],
        }
        self._webhooks.tell(intent, event_id, TYPES[intent.state], orjson.dumps(body))


def sign(body: bytes, keys: tuple[str, ...]) -> Mapping[str, str]:
    """The header as of now (docs.stripe.com/webhooks#verify-manually); while a secret is replaced, one `v1` of each."""
    now = int(time.time())
    payload = f"{now}.".encode() + body
    signatures = [hmac.new(key.encode(), payload, sha256).hexdigest() for key in keys]
    return {"Stripe-Signature": ",".join([f"t={now}", *(f"v1={signature}" for signature in signatures)])}
