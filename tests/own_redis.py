"""A Redis server for one test, since other tests empty the stack's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from stack import Stack


@contextmanager
def own_redis(stack: Stack, name: str) -> Iterator[str]:
    """The URL of a Redis that no other test uses."""
    name = f"redis-{name}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    spawned = stack.spawn(name, "redis")
    try:
        yield f"redis://127.0.0.1:{spawned.ports['redis']}/0"
    finally:
        stack.stop(name)
