"""How often one caller may call, by class of calls; `SEATWRIGHT_RATE_LIMITS` replaces them."""

from __future__ import annotations

from typing import Final

RATE_LIMITS: Final[dict[str, str]] = {
    "log-in": "30/minute",
    "log-in-failures": "10/15 minute",
    "log-in-failures-of-account": "50/hour",
    "token": "600/minute",
    "register": "20/hour",
    "book": "30/minute",
    "pay": "30/minute",
    "seats": "240/minute",
    "export": "10/hour",
    "publish": "20/minute",
    "read": "600/minute",
    "write": "120/minute",
}
