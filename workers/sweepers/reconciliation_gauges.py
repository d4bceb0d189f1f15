"""Shows in the metrics what reconciliation has found: each worker reads it from the tables, whichever one ran it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import partial

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from db.payment import reconciliation
from domain.reconciliation import DifferenceKind
from workers.sweepers.loop import keep_sweeping

_EVERY = (5.0, 10.0)  # seconds

_open = Gauge(
    "seatwright_reconciliation_differences",
    "Differences between the ledger and a provider: alert on any",
    ["provider", "kind"],
)
_last = Gauge("seatwright_reconciliation_last_day", "The latest reconciled day, as Unix seconds", ["provider"])


async def keep_counting_differences(engine: AsyncEngine, providers: Iterable[str]) -> None:
    """Count every 5 to 10 seconds, until cancelled."""
    await keep_sweeping(partial(count_differences, engine, providers), _EVERY, interrupted="differences_not_counted")


async def count_differences(engine: AsyncEngine, providers: Iterable[str]) -> None:
    """Set both metrics; a provider of which no day is reconciled has no last day."""
    async with engine.connect() as connection:
        found = await reconciliation.count_open(connection)
        last = await reconciliation.last_days(connection)
    for provider in providers:
        for kind in DifferenceKind:
            _open.labels(provider, kind).set(found.get((provider, kind), 0))
        if provider in last:
            _last.labels(provider).set((last[provider] - date(1970, 1, 1)).total_seconds())
