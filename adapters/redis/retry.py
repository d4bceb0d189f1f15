"""How Redis commands are repeated, and how a connection that has died is recognized."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError

T = TypeVar("T")


class _Recognizing(Retry):
    """Takes uvloop's error for a closed connection as what it is.

    redis-py knows the errors of asyncio's own loop only: uvloop raises RuntimeError when it writes to a connection that
    the server has just closed. No code that expects Redis to be away would recognize that.
    """

    def __init__(self, repeats: int) -> None:
        """Without a pause: a caller waits, or a workflow repeats the whole step."""
        super().__init__(NoBackoff(), repeats)

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
