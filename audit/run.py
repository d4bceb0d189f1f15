"""Runs all checks; what is found is looked at again, since a system that is alive moves between two reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from audit.connections import Sources, open_sources
from audit.invariants import CHECKS
from audit.snapshot import Check, Look, name_of
from config.settings import Settings

LAG = timedelta(seconds=30)
"""How long a domain event may take to all consumers, a rebalance of their group included."""

_TRANSACTION = 1.5  # seconds; longer than any transaction that makes two places differ for a moment
_MESSAGE = 0.5  # seconds; what is on its way usually arrives within that


class Finding(NamedTuple):
    """A broken invariant.

    Attributes:
        subject: The booking's id, or what else it is about.
    """

    invariant: str
    subject: str
    detail: str


async def audit(settings: Settings, event_id: UUID | None = None) -> list[Finding]:
    """The broken invariants of one event, or of all."""
    async with open_sources(settings, event_id, LAG) as sources:
        return await judge(sources)


async def judge(sources: Sources, again_after: float = _TRANSACTION) -> list[Finding]:
    """What two looks in a row, `again_after` seconds apart, show broken; what is still on its way is waited for."""
    found = await _look(sources, CHECKS)
    while found:
        await asyncio.sleep(_MESSAGE if all(found.values()) else again_after)
        suspects = {finding.invariant for finding in found}
        again = await _look(sources, (check for check in CHECKS if name_of(check) in suspects))
        found = {finding: is_early for finding, is_early in again.items() if finding in found}
        if not any(found.values()):
            break
    return sorted(found)


async def _look(sources: Sources, checks: Iterable[Check]) -> dict[Finding, bool]:
    """What is broken, and whether it is too early to say so."""
    look = Look(sources)
    return {
        Finding(name_of(check), broken.subject, broken.detail): broken.is_early
        for check in checks
        for broken in await check(look)
    }
