"""In a rush each call still counts for its limit."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from limits import parse

from api.edge.rate_counters import Counters
from config.settings import Settings


async def test_each_of_a_thousand_calls_at_once_is_counted(settings: Settings) -> None:
    counters, limit, caller = Counters(settings), parse("10/month"), uuid4().hex
    allowed = await asyncio.gather(*(counters.spend(limit, "read", caller) for _ in range(1000)))
    assert sorted(each.left for each in allowed) == list(range(-990, 10))
    await counters.close()
