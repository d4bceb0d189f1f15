"""Measures a database's statements, and the connections of its pool that are in use."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any, Final
from weakref import WeakKeyDictionary

from prometheus_client import Gauge, Histogram
from sqlalchemy import Engine, QueuePool, event
from sqlalchemy.ext.asyncio import AsyncEngine

_STATEMENTS: Final = Histogram(
    "seatwright_sql_statement_seconds",
    "Statements by database, as the process waits for them",
    ["database"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
_IN_USE: Final = Gauge("seatwright_sql_connections_in_use", "Connections that statements use", ["database", "pool"])
_LIMIT: Final = Gauge("seatwright_sql_connections_limit", "Connections that the pool may open", ["database", "pool"])
_BEGAN: Final = "seatwright_began"
_OPEN: Final[defaultdict[tuple[str, str], WeakKeyDictionary[Engine, int]]] = defaultdict(WeakKeyDictionary)
"""The limits of the engines that this process has open, by database and pool."""


def measure(engine: AsyncEngine, *, limit: int, pool: str) -> None:
    """Publish a process's use of a database as metrics; of several engines with one name, the fullest is shown.

    Args:
        engine: Just opened.
        limit: Connections that its pool may open.
        pool: What it is for, in a word.
    """
    database = (engine.url.database or "").removeprefix("seatwright_")
    statements, opened = _STATEMENTS.labels(database), _OPEN[database, pool]
    opened[engine.sync_engine] = limit
    # The pools are asked: the events of a checkout that is cancelled come without their counterpart.
    _IN_USE.labels(database, pool).set_function(lambda: _fullest(opened)[0])
    _LIMIT.labels(database, pool).set_function(lambda: _fullest(opened)[1])

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def begin(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        connection.info[_BEGAN] = time.perf_counter()

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def end(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        statements.observe(time.perf_counter() - connection.info[_BEGAN])


def _fullest(opened: WeakKeyDictionary[Engine, int]) -> tuple[int, int]:
    """Of the engine with the largest share in use: its connections in use, and its limit."""
    pools = [(_in_use(engine), limit) for engine, limit in list(opened.items())]
    return max(pools, key=lambda pool: (pool[0] / pool[1], pool[1]), default=(0, 0))


def _in_use(engine: Engine) -> int:
    pool = engine.pool
    return pool.checkedout() if isinstance(pool, QueuePool) else 0
