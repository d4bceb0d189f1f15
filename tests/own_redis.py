"""A Redis server for a module of tests, since other tests empty the stack's."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from stack import Stack


@contextmanager
def own_redis(stack: Stack, name: str) -> Iterator[str]:
    """The URL of a Redis that no other test uses."""
    spawned = stack.spawn(process_of(name), "redis")
    try:
        yield f"redis://127.0.0.1:{spawned.ports['redis']}/0"
    finally:
        stack.stop(process_of(name))


def process_of(name: str) -> str:
    """What the stack calls that Redis."""
    return f"redis-{name}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


@pytest.fixture(scope="module")
def redis_url(stack: Stack, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a Redis of the module's own."""
    with own_redis(stack, request.node.path.stem.replace("_", "-")) as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the module's Redis."""
    client = Redis.from_pool(BlockingConnectionPool.from_url(redis_url, max_connections=50))
    yield client
    await client.aclose()
