"""A Redis server of a test's own: the stack's is emptied by other tests, as it may be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from stack import Stack


@contextmanager
def own_redis(stack: Stack, name: str) -> Iterator[str]:
    """The URL of a real Redis that nobody else uses."""
    name = f"redis-{name}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    spawned = stack.spawn(name, "redis")
    try:
        yield f"redis://127.0.0.1:{spawned.ports['redis']}/0"
    finally:
        stack.stop(name)
