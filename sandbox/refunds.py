"""The refunds of intents: each is pending, succeeded or failed, and one that is pending is decided later."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, replace

from sandbox.store import Row, Store


@dataclass(frozen=True)
class Refund:
    """Minor units given back of one intent; `status` is `pending`, `succeeded` or `failed`."""

    id: str
    intent_id: str
    attempt_id: str
    created: int
    amount: int
    reason: str | None
    metadata: dict[str, str]
    status: str


class RefundBook:
    """What was given back, one row a refund; the money itself is the intents' matter."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    def add(
        self, intent_id: str, attempt_id: str, amount: int, reason: str | None, metadata: dict[str, str], status: str
    ) -> Refund:
        refund_id = f"{self._prefix}_{secrets.token_hex(12)}"
        refund = Refund(refund_id, intent_id, attempt_id, int(time.time()), amount, reason, metadata, status)
        self._store.insert("refunds", **vars(refund) | {"metadata": json.dumps(metadata)})
        return refund

    def decide(self, refund: Refund, status: str) -> Refund:
        self._store.run("UPDATE refunds SET status = ? WHERE id = ?", status, refund.id)
        return replace(refund, status=status)

    def find(self, refund_id: str) -> Refund | None:
        row = self._store.one("SELECT * FROM refunds WHERE id = ?", refund_id)
        return _read(row) if row else None

    def of_intent(self, intent_id: str) -> list[Refund]:
        """Newest first."""
        rows = self._store.all("SELECT * FROM refunds WHERE intent_id = ? ORDER BY seq DESC", intent_id)
        return [_read(row) for row in rows]


def _read(row: Row) -> Refund:
    values = {key: row[key] for key in row.keys() if key != "seq"}  # noqa: SIM118 - a Row iterates over values
    return Refund(**(values | {"metadata": json.loads(row["metadata"])}))
