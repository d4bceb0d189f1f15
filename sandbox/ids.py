"""How the provider APIs' ids are made."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ids:
    """Makers of one provider API's ids; each call makes a new one."""

    intent: Callable[[], str]
    attempt: Callable[[], str]
    refund: Callable[[], str]


def prefixed(prefix: str) -> Callable[[], str]:
    """Ids such as `pi_` and 24 random hex digits."""
    return lambda: f"{prefix}_{secrets.token_hex(12)}"


def numeric() -> str:
    """A random number of 14 digits."""
    return str(10**13 + secrets.randbelow(9 * 10**13))
