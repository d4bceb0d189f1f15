"""The `Retry-After` header of a payment provider's answer."""

from __future__ import annotations


def seconds_of(header: str | None) -> float | None:
    """Return the seconds that the provider asks to wait; None where it does not ask, or not in seconds."""
    try:
        return None if header is None else float(header)
    except ValueError:
        return None
