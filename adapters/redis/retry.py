"""How a caller's Redis commands are repeated: once, where a connection has died in the pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError

T = TypeVar("T")


class RetryOnce(Retry):
    """Repeats a command once, and takes uvloop's error for a closed connection as what it is.

    redis-py knows the errors of asyncio's own loop only: uvloop raises RuntimeError when it writes to a connection that
    the server has just closed, which a caller would see as a 500.
    """

    def __init__(self) -> None:
        """Without a pause: a caller waits."""
        super().__init__(NoBackoff(), 1)

    async def call_with_retry(self, do: Callable[[], Awaitable[T]], *args: Any, **options: Any) -> T:
        """As redis-py does it."""

        async def done() -> T:
            try:
                return await do()
            except RuntimeError as error:
                if type(error) is not RuntimeError:
                    raise  # a fault in our own code, such as RecursionError
                raise ConnectionError(str(error)) from error

        return await super().call_with_retry(done, *args, **options)
