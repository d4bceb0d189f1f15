"""Shows how many connections of a Redis pool are in use: a pool that is exhausted lets its callers wait."""

from __future__ import annotations

from collections import defaultdict
from typing import Final, cast
from weakref import WeakSet

from prometheus_client import Gauge
from redis.asyncio import ConnectionPool, Redis

_IN_USE: Final = Gauge("seatwright_redis_connections_in_use", "Connections that calls use", ["pool"])
_LIMIT: Final = Gauge("seatwright_redis_connections_limit", "Connections that the pool may open", ["pool"])
_OPEN: Final[defaultdict[str, WeakSet[ConnectionPool]]] = defaultdict(WeakSet)
"""The pools that this process has open, by name."""


def measured(redis: Redis, pool: str) -> Redis:
    """Publish the use of a client's pool as metrics; of several clients with one name, the fullest is shown.

    Args:
        redis: Just opened.
        pool: What it is for, in a word.
    """
    opened = _OPEN[pool]
    opened.add(redis.connection_pool)
    _IN_USE.labels(pool).set_function(lambda: _fullest(opened)[0])
    _LIMIT.labels(pool).set_function(lambda: _fullest(opened)[1])
    return redis


def _fullest(opened: WeakSet[ConnectionPool]) -> tuple[int, int]:
    """Of the pool with the largest share in use: its connections in use, and its limit."""
    pools = [(_in_use(pool), pool.max_connections) for pool in list(opened)]
    return max(pools, key=lambda pool: (pool[0] / pool[1], pool[1]), default=(0, 0))


def _in_use(pool: ConnectionPool) -> int:
    counted = cast("list[tuple[int, dict[str, str]]]", pool.get_connection_count())
    return sum(count for count, labels in counted if labels.get("db.client.connection.state") == "used")
