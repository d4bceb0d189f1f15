"""What iyzico tells a shop of a form: the notification, and the signature that proves it (docs.iyzico.com, Webhook)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from uuid import uuid4

import orjson

from sandbox.intents import Intent, Intents, State
from sandbox.iyzico.answers import payment_status
from sandbox.iyzico.signatures import sign_notification
from sandbox.webhooks import Webhooks

TOLD = frozenset({State.OPEN, State.PROCESSING, State.AUTHORIZED})
WANTED = ("SUCCESS", "FAILURE")
"""A merchant cannot choose; these are all that the face sends."""


class Messages:
    """Tells what came of a try on a form; captures, cancels and refunds are not told."""

    def __init__(self, webhooks: Webhooks, intents: Intents) -> None:
        self._webhooks = webhooks
        self._intents = intents
        webhooks.sign_with("iyzico", sign)

    def announce(self, intent: Intent) -> None:
        """Tell how the latest try ended; of several refusals on one form only the first is told."""
        status = payment_status(intent)
        if intent.state not in TOLD or status is None:
            return
        if status == "FAILURE" and len(self._intents.attempts(intent.id)) > 1:
            return
        event_id = str(uuid4())
        notice = {
            "paymentConversationId": intent.details["conversation_id"],
            "merchantId": 1,
            "token": intent.id,
            "status": status,
            "iyziReferenceCode": event_id,
            "iyziEventType": "CHECKOUT_FORM_AUTH",
            "iyziEventTime": int(time.time() * 1000),
            "iyziPaymentId": int(intent.attempt_id or 0),
        }
        self._webhooks.tell(intent, event_id, status, orjson.dumps(notice))


def sign(body: bytes, keys: tuple[str, ...]) -> Mapping[str, str]:
    """The header; iyzico has one secret key for everything."""
    return {"X-IYZ-SIGNATURE-V3": sign_notification(keys[0], orjson.loads(body))}
