"""Generates the ids of the provider APIs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ids:
    """The id generators of one provider API."""

    intent: Callable[[], str]
    attempt: Callable[[], str]
    refund: Callable[[], str]


def prefixed(prefix: str) -> Callable[[], str]:
    """Generate ids such as `pi_` and 24 random hex digits."""
    return lambda: f"{prefix}_{secrets.token_hex(12)}"


def numeric() -> str:
    """Generate a random number of 14 digits."""
    return str(10**13 + secrets.randbelow(9 * 10**13))
