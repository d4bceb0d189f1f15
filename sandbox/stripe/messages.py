"""Stripe's events about payment intents and refunds, and their signature."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from hashlib import sha256

import orjson

from sandbox.intents import Intent, State
from sandbox.records import Refund
from sandbox.stripe.objects import Json, Renderer
from sandbox.webhooks import Webhooks

TYPES = {
    State.OPEN: "payment_intent.payment_failed",
    State.ACTION_REQUIRED: "payment_intent.requires_action",
    State.PROCESSING: "payment_intent.processing",
    State.AUTHORIZED: "payment_intent.amount_capturable_updated",
    State.CAPTURED: "payment_intent.succeeded",
    State.VOIDED: "payment_intent.canceled",
}
REFUND_TYPES = {"pending": "refund.created", "succeeded": "refund.updated", "failed": "refund.failed"}
WANTED = (
    *(f"payment_intent.{name}" for name in ("amount_capturable_updated", "succeeded", "payment_failed")),
    *("refund.updated", "refund.failed"),
)
"""The default event types of an endpoint."""


class Messages:
    """Sends each change of an intent or a refund as a Stripe event."""

    def __init__(self, webhooks: Webhooks, renderer: Renderer, api_version: str) -> None:
        self._webhooks = webhooks
        self._renderer = renderer
        self._api_version = api_version
        webhooks.sign_with("stripe", sign)

    def announce(self, intent: Intent) -> None:
        """Send the current state of the intent."""
        self._queue(intent, TYPES[intent.state], self._renderer.payment_intent(intent))

    def announce_refund(self, intent: Intent, refund: Refund) -> None:
        """Send the current state of a refund."""
        self._queue(intent, REFUND_TYPES[refund.status], self._renderer.refund(intent, refund))

    def _queue(self, intent: Intent, type_: str, about: Json) -> None:
        event_id = f"evt_{secrets.token_hex(12)}"
        body = {
            "id": event_id,
            "object": "event",
            "api_version": self._api_version,
            "created": int(time.time()),
            "data": {"object": about},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": type_,
        }
        self._webhooks.queue(intent, event_id, type_, orjson.dumps(body))


def sign(body: bytes, keys: tuple[str, ...]) -> Mapping[str, str]:
    """The signature header (docs.stripe.com/webhooks#verify-manually), with one `v1` for each secret."""
    now = int(time.time())
    payload = f"{now}.".encode() + body
    signatures = [hmac.new(key.encode(), payload, sha256).hexdigest() for key in keys]
    return {"Stripe-Signature": ",".join([f"t={now}", *(f"v1={signature}" for signature in signatures)])}
