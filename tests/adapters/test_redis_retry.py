"""A connection to Redis that has died is noticed as such, whatever the event loop calls it."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError

from adapters.redis.retry import RetryOnce


class Server:
    """Fails so often, as uvloop reports it, before it answers."""

    def __init__(self, failures: int, kind: type[RuntimeError] = RuntimeError) -> None:
        self.left, self.disconnects, self.kind = failures, 0, kind

    async def ask(self) -> str:
        if self.left:
            self.left -= 1
            raise self.kind("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
        return "PONG"

    async def disconnect(self, error: Exception) -> None:
        assert isinstance(error, ConnectionError)
        self.disconnects += 1


async def test_a_command_is_repeated_once_on_a_new_connection() -> None:
    server = Server(failures=1)
    assert await RetryOnce().call_with_retry(server.ask, server.disconnect) == "PONG"
    assert server.disconnects == 1


async def test_a_second_failure_is_a_lost_connection_and_no_error_of_ours() -> None:
    server = Server(failures=2)
    with pytest.raises(ConnectionError, match="closed"):
        await RetryOnce().call_with_retry(server.ask, server.disconnect)


async def test_a_fault_of_our_own_code_is_no_lost_connection() -> None:
    server = Server(failures=1, kind=RecursionError)
    with pytest.raises(RecursionError):
        await RetryOnce().call_with_retry(server.ask, server.disconnect)
