"""What PayU tells a shop of an order or a refund: the notification, and the signature made with the second key."""

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
    """Tells each change at the order's own `notifyUrl`, but not that it is new. The messages have no ids at PayU."""

    def __init__(self, webhooks: Webhooks, intents: Intents) -> None:
        self._webhooks = webhooks
        self._intents = intents
        webhooks.sign_with("payu", self._sign)

    def order_changed(self, intent: Intent) -> None:
        """Tell where the order stands now."""
        is_passing = intent.state is State.AUTHORIZED and not intent.manual_capture
        if intent.state is State.OPEN or is_passing:
            return
        told = {"order": order(intent), "localReceiptDateTime": moment(time.time())}
        paid = {"properties": [{"name": "PAYMENT_ID", "value": intent.attempt_id or ""}]}
        self._tell(intent, STATUSES[intent.state], told | paid)

    def refund_changed(self, intent: Intent, refund: Row) -> None:
        """Tell where a refund stands now."""
        ids = {"orderId": intent.id, "extOrderId": intent.metadata.get("extOrderId")}
        self._tell(intent, f"{refund['refund_id']}:{refund['status']}", ids | {"refund": shown(refund)})

    def _tell(self, intent: Intent, what: str, told: Mapping[str, Any]) -> None:
        url = intent.details.get("notifyUrl")
        if url is not None:
            self._webhooks.tell(intent, f"{intent.id}:{what}", what, orjson.dumps(told), url=url)

    def _sign(self, body: bytes, keys: tuple[str, ...]) -> Mapping[str, str]:
        """The header; each point of sale has a second key of its own, so an endpoint's are not asked for."""
        told = orjson.loads(body)
        intent = self._intents.find((told.get("order") or told)["orderId"])
        assert intent is not None
        return {"OpenPayu-Signature": signature(body, POINTS[intent.metadata["posId"]].second_key)}


def signature(body: bytes, second_key: str) -> str:
    """The hash of the body with the second key behind it."""
    digest = hashlib.md5(body + second_key.encode(), usedforsecurity=False).hexdigest()
    return f"sender=checkout;signature={digest};algorithm=MD5;content=DOCUMENT"
