"""iyzico's notifications about a form, and their signature (docs.iyzico.com, Webhook)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from uuid import uuid4

import orjson

from sandbox.intents import Intent, Intents, State
from sandbox.iyzico.answers import payment_status
from sandbox.iyzico.signatures import sign_notification
from sandbox.records import Refund
from sandbox.webhooks import Webhooks

TOLD = frozenset({State.OPEN, State.PROCESSING, State.AUTHORIZED})
OF_REFUNDS = {"succeeded": "REFUND_RETRY_SUCCESS", "failed": "REFUND_RETRY_FAILURE"}
WANTED = ("SUCCESS", "FAILURE", *OF_REFUNDS.values())
"""The merchant cannot choose; the API sends exactly these types."""


class Messages:
    """Sends the result of an attempt on a form and of a pending refund, and nothing else."""

    def __init__(self, webhooks: Webhooks, intents: Intents) -> None:
        self._webhooks = webhooks
        self._intents = intents
        webhooks.sign_with("iyzico", sign)

    def announce(self, intent: Intent) -> None:
        """Send the result of the latest attempt; of several refusals on one form, only the first is sent."""
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
        self._webhooks.queue(intent, event_id, status, orjson.dumps(notice))

    def announce_refund(self, intent: Intent, refund: Refund) -> None:
        """Send the result of a refund whose own response was pending."""
        if not refund.metadata.get("left_pending") or refund.status not in OF_REFUNDS:
            return
        event_id, type_ = str(uuid4()), OF_REFUNDS[refund.status]
        notice = {
            "paymentConversationId": intent.details["conversation_id"],
            "merchantId": 1,
            "paymentId": int(intent.attempt_id or 0),
            "status": type_.rpartition("_")[2],
            "iyziReferenceCode": event_id,
            "iyziEventType": type_,
            "iyziEventTime": int(time.time() * 1000),
        }
        self._webhooks.queue(intent, event_id, type_, orjson.dumps(notice))


def sign(body: bytes, keys: tuple[str, ...]) -> Mapping[str, str]:
    """The signature header; iyzico has one secret key for everything."""
    return {"X-IYZ-SIGNATURE-V3": sign_notification(keys[0], orjson.loads(body))}
