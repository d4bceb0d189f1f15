"""Runs all checks; what is found is looked at again, since a system that is alive moves between two reads."""

from __future__ import annotations

import asyncio
from uuid import UUID

from audit.invariants import CHECKS
from audit.sources import Finding, Sources, open_sources
from config.settings import Settings

_LOOK_AGAIN_AFTER = 1.5  # seconds; longer than any transaction that makes two places differ for a moment


async def audit(settings: Settings, event_id: UUID | None = None) -> list[Finding]:
    """The broken invariants of one event, or of all."""
    async with open_sources(settings, event_id) as sources:
        found = await _look(sources)
        if not found:
            return []
        await asyncio.sleep(_LOOK_AGAIN_AFTER)
        return sorted(found & await _look(sources))


async def _look(sources: Sources) -> set[Finding]:
    return {finding for check in CHECKS for finding in await check(sources)}
