"""The records of an intent: payment attempts and refunds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sandbox.store import Row


@dataclass(frozen=True)
class Attempt:
    """One attempt with one payment method; `failure` is the reason of a refusal."""

    id: str
    intent_id: str
    created: int
    status: str
    payment_method: str
    failure: dict[str, str] | None


@dataclass(frozen=True)
class Refund:
    """Minor units refunded of one intent; `status` is `pending`, `succeeded` or `failed`."""

    id: str
    intent_id: str
    attempt_id: str
    created: int
    amount: int
    reason: str | None
    metadata: dict[str, str]
    status: str


def read_attempt(row: Row) -> Attempt:
    """The attempt that a row of the store holds."""
    return Attempt(**_without_seq(row) | {"failure": json.loads(row["failure"]) if row["failure"] else None})


def read_refund(row: Row) -> Refund:
    """The refund that a row of the store holds."""
    return Refund(**_without_seq(row) | {"metadata": json.loads(row["metadata"])})


def _without_seq(row: Row) -> dict[str, Any]:
    return {name: value for name, value in dict(row).items() if name != "seq"}
