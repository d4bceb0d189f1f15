"""The log of calls that the provider APIs received, so that a test can count them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sandbox.store import Store


@dataclass
class Call:
    """One received call; its intent may become known only while it is served.

    Attributes:
        operation: `create`, `confirm`, `capture`, `cancel`, `refund`, `retrieve` or `list`.
        faults: Kinds of the faults that struck it.
    """

    face: str
    operation: str
    path: str
    intent_id: str | None = None
    booking_id: str | None = None
    key: str | None = None
    faults: list[str] = field(default_factory=list)


class CallLog:
    """Appends and finds calls."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, call: Call, status: int | None, *, replayed: bool = False) -> None:
        """Append a call; `status` is None if a fault suppressed its response."""
        known = vars(call) | {"faults": ",".join(call.faults)}
        self._store.insert("calls", at=time.time(), status=status, replayed=replayed, **known)

    def find(self, filters: dict[str, str], since: int, limit: int) -> list[dict[str, Any]]:
        """Calls after sequence number `since` that equal all `filters` (column names), oldest first."""
        conditions = "".join(f" AND {column} = ?" for column in filters)
        rows = self._store.all(
            f"SELECT * FROM calls WHERE seq > ?{conditions} ORDER BY seq LIMIT ?", since, *filters.values(), limit
        )
        return [_presented(dict(row)) for row in rows]


def _presented(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"replayed": bool(row["replayed"]), "faults": row["faults"].split(",") if row["faults"] else []}
