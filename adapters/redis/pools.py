"""Shows how many connections of a Redis pool are in use: a pool that is exhausted lets its callers wait."""

from __future__ import annotations

from typing import Final, cast

from prometheus_client import Gauge
from redis.asyncio import Redis

_IN_USE: Final = Gauge("seatwright_redis_connections_in_use", "Connections that calls use", ["pool"])
_LIMIT: Final = Gauge("seatwright_redis_connections_limit", "Connections that the pool may open", ["pool"])


def measured(redis: Redis, pool: str) -> Redis:
    """Publish the use of a client's pool as metrics; of several clients with one name, the latest is shown.

    Args:
        redis: Just opened.
        pool: What it is for, in a word.
    """
    connections = redis.connection_pool

    def in_use() -> float:
        counted = cast("list[tuple[int, dict[str, str]]]", connections.get_connection_count())
        return sum(count for count, labels in counted if labels.get("db.client.connection.state") == "used")

    _IN_USE.labels(pool).set_function(in_use)
    _LIMIT.labels(pool).set(connections.max_connections)
    return redis
