"""How calls to Redis are measured and repeated, and how a connection that has died is recognized."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from prometheus_client import Histogram
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError

T = TypeVar("T")

_CALLS: Final = Histogram(
    "seatwright_redis_call_seconds",
    "Calls to Redis, the opening of connections included; `outcome` is `answered` or the error",
    ["outcome"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)


class _Recognizing(Retry):
    """Takes uvloop's error for a closed connection as what it is.

    redis-py knows the errors of asyncio's own loop only: uvloop raises RuntimeError when it writes to a connection that
    the server has just closed. No code that expects Redis to be away would recognize that.
    """

    def __init__(self, repeats: int) -> None:
        """Without a pause: a caller waits, or a workflow repeats the whole step."""
        super().__init__(NoBackoff(), repeats)

    async def call_with_retry(self, do: Callable[[], Awaitable[T]], *args: Any, **options: Any) -> T:
        """As redis-py does it, and measured."""

        async def done() -> T:
            try:
                return await do()
            except RuntimeError as error:
                if type(error) is not RuntimeError:
                    raise  # a fault in our own code, such as RecursionError
                raise ConnectionError(str(error)) from error

        began, outcome = time.perf_counter(), "answered"
        try:
            return await super().call_with_retry(done, *args, **options)
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            _CALLS.labels(outcome).observe(time.perf_counter() - began)


class RetryOnce(_Recognizing):
    """Repeats a command once, for a caller who would otherwise see that a connection has died in the pool."""

    def __init__(self) -> None:
        """See the class."""
        super().__init__(repeats=1)


class NoRetry(_Recognizing):
    """Repeats nothing, for a worker: its workflows repeat their steps."""

    def __init__(self) -> None:
        """See the class."""
        super().__init__(repeats=0)
