"""PayU's notifications about orders and refunds, and their signature with the second key."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import orjson

from sandbox.intents import Intent, Intents, State
from sandbox.payu.orders import STATUSES, moment, order
from sandbox.payu.points import POINTS
from sandbox.payu.refunds import shown
from sandbox.store import Row
from sandbox.webhooks import Webhooks


class Messages:
    """Sends each change after the creation to the order's own `notifyUrl`; PayU's messages have no ids."""

    def __init__(self, webhooks: Webhooks, intents: Intents) -> None:
        self._webhooks = webhooks
        self._intents = intents
        webhooks.sign_with("payu", self._sign)

    def order_changed(self, intent: Intent) -> None:
        """Send the current state of the order."""
        is_passing = intent.state is State.AUTHORIZED and not intent.manual_capture
        if intent.state is State.OPEN or is_passing:
            return
        content = {"order": order(intent), "localReceiptDateTime": moment(time.time())}
        paid = {"properties": [{"name": "PAYMENT_ID", "value": intent.attempt_id or ""}]}
        self._queue(intent, STATUSES[intent.state], content | paid)

    def refund_changed(self, intent: Intent, refund: Row) -> None:
        """Send the current state of a refund."""
        ids = {"orderId": intent.id, "extOrderId": intent.metadata.get("extOrderId")}
        self._queue(intent, f"{refund['refund_id']}:{refund['status']}", ids | {"refund": shown(refund)})

    def _queue(self, intent: Intent, what: str, content: Mapping[str, Any]) -> None:
        url = intent.details.get("notifyUrl")
        if url is not None:
            self._webhooks.queue(intent, f"{intent.id}:{what}", what, orjson.dumps(content), url=url)

    def _sign(self, body: bytes, keys: tuple[str, ...]) -> Mapping[str, str]:
        """The signature header, made with the second key of the point of sale instead of the endpoint's secrets."""
        content = orjson.loads(body)
        intent = self._intents.find((content.get("order") or content)["orderId"])
        assert intent is not None
        return {"OpenPayu-Signature": signature(body, POINTS[intent.metadata["posId"]].second_key)}


def signature(body: bytes, second_key: str) -> str:
    """The hash of the body followed by the second key."""
    digest = hashlib.md5(body + second_key.encode(), usedforsecurity=False).hexdigest()
    return f"sender=checkout;signature={digest};algorithm=MD5;content=DOCUMENT"
