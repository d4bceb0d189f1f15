"""Whether a client takes a compressed answer (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import re
from typing import Final

_WEIGHT: Final = re.compile(r";\s*q\s*=\s*([0-9.]+)")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether `gzip`, or any coding, is accepted; a weight of 0 excludes it."""
    weights = dict(_coding(part) for part in accept_encoding.lower().split(","))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _coding(part: str) -> tuple[str, float]:
    found = _WEIGHT.search(part)
    try:
        weight = float(found[1]) if found else 1.0
    except ValueError:
        weight = 0.0
    return part.partition(";")[0].strip(), weight
