"""The workers' clients of Redis: both recognize a connection that the server has closed."""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis

from adapters.redis.pools import measured
from adapters.redis.retry import NoRetry
from config.settings import Settings


def open_for_seats(settings: Settings) -> Redis:
    """For the steps of a booking: in a rush they wait for a connection, where redis-py's default pool fails."""
    pool = BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(),
        max_connections=50,
        timeout=2,
        socket_timeout=2,
        socket_connect_timeout=1,
        retry=NoRetry(),
    )
    return measured(Redis.from_pool(pool), "seats")


def open_for_limits(settings: Settings) -> Redis:
    """For the limits of calls to payment providers, which do not wait for Redis."""
    redis = Redis.from_url(settings.redis_url.get_secret_value(), socket_connect_timeout=1, retry=NoRetry())
    return measured(redis, "call limits")
