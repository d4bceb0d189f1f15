"""A Redis of a module's own, for the tests of what keeps its state there."""

from __future__ import annotations

from tests.own_redis import redis, redis_url

__all__ = ["redis", "redis_url"]
