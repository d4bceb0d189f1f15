"""PayU's notifications: who is told what when an order or a refund changes, signed with the second key."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from typing import Any

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

from sandbox.intents import Intent
from sandbox.payu.orders import moment, order
from sandbox.payu.points import POINTS
from sandbox.payu.refunds import shown
from sandbox.store import Row

PATIENCE = ClientTimeout(total=10)
logger = logging.getLogger(__name__)


def signature(body: bytes, second_key: str) -> str:
    """The header `OpenPayu-Signature`: the hash of the body with the second key behind it."""
    digest = hashlib.md5(body + second_key.encode(), usedforsecurity=False).hexdigest()
    return f"sender=checkout;signature={digest};algorithm=MD5;content=DOCUMENT"


class Notifier:
    """Tells merchants in the background, once each; PayU itself repeats for three days."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def order_changed(self, intent: Intent) -> None:
        told = {"order": order(intent), "localReceiptDateTime": moment(time.time())}
        self._tell(intent, told | {"properties": [{"name": "PAYMENT_ID", "value": intent.attempt_id or ""}]})

    def refund_changed(self, intent: Intent, refund: Row) -> None:
        ids = {"orderId": intent.id, "extOrderId": intent.metadata.get("extOrderId")}
        self._tell(intent, ids | {"refund": shown(refund)})

    async def close(self) -> None:
        for task in self._sending:
            task.cancel()
        if self._session is not None:
            await self._session.close()

    def _tell(self, intent: Intent, told: dict[str, Any]) -> None:
        url = intent.details.get("notifyUrl")
        if url is None:
            return
        body = orjson.dumps(told)
        task = asyncio.create_task(self._send(url, body, POINTS[intent.metadata["posId"]].second_key))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, url: str, body: bytes, second_key: str) -> None:
        if self._session is None:
            self._session = ClientSession(timeout=PATIENCE)
        headers = {"Content-Type": "application/json;charset=UTF-8", "OpenPayu-Signature": signature(body, second_key)}
        try:
            async with self._session.post(url, data=body, headers=headers):
                pass
        except (ClientError, OSError, TimeoutError) as error:
            logger.info("notification to %s failed: %s", url, type(error).__name__)
