"""Imports many intents at once; each reaches its end by the same steps as any other."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sandbox.intents import Intents

ENDS = ("captured", "refunded", "voided", "declined")
_CARD = "pm_card_visa"


def bring_in(intents: Intents, wanted: Sequence[dict[str, Any]]) -> list[str]:
    """Create the intents; call this inside a transaction of the store.

    Args:
        intents: The intents of the provider API that gets them.
        wanted: Objects with `booking_id`, `amount`, `currency` and `end`, one of ENDS.

    Returns:
        Their ids, in the same order.

    Raises:
        ValueError: One is malformed.
    """
    return [_bring_in(intents, each) for each in wanted]


def _bring_in(intents: Intents, wanted: dict[str, Any]) -> str:
    if not isinstance(wanted, dict) or set(wanted) != {"booking_id", "amount", "currency", "end"}:
        raise ValueError("intents: objects with booking_id, amount, currency and end")
    booking, end = wanted["booking_id"], wanted["end"]
    if end not in ENDS:
        raise ValueError(f"end: one of {', '.join(ENDS)}")
    intent = intents.create(
        amount=wanted["amount"],
        currency=wanted["currency"],
        manual_capture=True,
        booking_id=booking,
        metadata={"booking_id": booking},
        details={"capture_method": "manual", "client_secret": f"secret_{secrets.token_hex(12)}"},
    )
    if end == "declined":
        intents.decline(intent, _CARD, intents.refusal)
    else:
        intents.authorize(intent, _CARD)
    if end in ("captured", "refunded"):
        intents.capture(intent)
    else:
        intents.void(intent)
    if end == "refunded":
        intents.refund(intent, None, None, {})
    return intent.id
