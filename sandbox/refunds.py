"""Stores refunds; each is pending, succeeded or failed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

from sandbox.records import Refund, read_refund
from sandbox.store import Store


class RefundBook:
    """The refunds, one row each; `Intents` moves the money."""

    def __init__(self, store: Store, new_id: Callable[[], str]) -> None:
        self._store = store
        self._new_id = new_id

    def add(
        self, intent_id: str, attempt_id: str, amount: int, reason: str | None, metadata: dict[str, str], status: str
    ) -> Refund:
        """Store a new refund of `amount` minor units; no money moves here."""
        refund = Refund(self._new_id(), intent_id, attempt_id, int(time.time()), amount, reason, metadata, status)
        self._store.insert("refunds", **vars(refund) | {"metadata": json.dumps(metadata)})
        return refund

    def decide(self, refund: Refund, status: str) -> Refund:
        """Change the status of a refund; no money moves here."""
        self._store.run("UPDATE refunds SET status = ? WHERE id = ?", status, refund.id)
        return replace(refund, status=status)

    def find(self, refund_id: str) -> Refund | None:
        """One refund; None if there is none with this id."""
        row = self._store.one("SELECT * FROM refunds WHERE id = ?", refund_id)
        return read_refund(row) if row else None

    def of_intent(self, intent_id: str) -> list[Refund]:
        """Newest first."""
        rows = self._store.all("SELECT * FROM refunds WHERE intent_id = ? ORDER BY seq DESC", intent_id)
        return [read_refund(row) for row in rows]
