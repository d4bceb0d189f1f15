"""Loaded by schemathesis (`SCHEMATHESIS_HOOKS`): half of the bookings and payments that it makes up are made to fit.

Left to itself it would never hit upon an event on sale with a free seat, and never see a booking from inside.
"""

from __future__ import annotations

import os
import zlib
from typing import Any

import schemathesis

EVENT = os.environ["SCHEMATHESIS_EVENT"]
CARDS = ("pm_card_visa", "pm_card_visa_chargeDeclined", "pm_card_threeDSecure2Required")


@schemathesis.hook
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """The same for the same body, so that what was found can be found again."""
    label = context.operation.label if context.operation else ""
    if not isinstance(body, dict):
        return body
    draw = zlib.crc32(repr(body).encode("utf-8", "replace"))
    if draw % 2:
        return body
    if label == "POST /v1/bookings":
        return body | {
            "event_id": EVENT,
            "seats": [f"A-{draw // 2 % 100 + 1}-{draw // 200 % 50 + 1}"],
            "quantities": {},
        }
    if label.endswith("/payment"):
        return body | {"provider": "stripe", "payment_method": CARDS[draw // 2 % len(CARDS)]}
    return body
