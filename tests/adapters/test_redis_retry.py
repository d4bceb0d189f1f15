"""A connection to Redis that has died is noticed as such, whatever the event loop calls it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Thread

import pytest
import uvloop
from prometheus_client import REGISTRY
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import ConnectionError

from adapters.redis.retry import NoRetry, RetryOnce
from config.settings import Settings
from workers.temporal.redis_clients import open_for_limits, open_for_seats


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


async def test_a_workers_command_is_not_repeated() -> None:
    server = Server(failures=1)
    with pytest.raises(ConnectionError, match="closed"):
        await NoRetry().call_with_retry(server.ask, server.disconnect)


async def test_a_fault_of_our_own_code_is_no_lost_connection() -> None:
    server = Server(failures=1, kind=RecursionError)
    with pytest.raises(RecursionError):
        await RetryOnce().call_with_retry(server.ask, server.disconnect)


@pytest.fixture
def resetting() -> Iterator[Settings]:
    """A server in Redis's place that resets each connection as soon as it is made."""
    server = socket.create_server(("127.0.0.1", 0))

    def reset_all() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    thread = Thread(target=reset_all, daemon=True)
    thread.start()
    yield Settings(redis_url=SecretStr(f"redis://127.0.0.1:{server.getsockname()[1]}/0"))
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.mark.parametrize("opens", [open_for_seats, open_for_limits])
def test_a_worker_knows_a_reset_connection_as_an_error_of_redis(
    opens: Callable[[Settings], Redis], resetting: Settings
) -> None:
    async def errors() -> Counter[type[object]]:
        async with opens(resetting) as redis:
            # Many at once, so that a reset is noticed before the first command is sent.
            found = [await asyncio.gather(*(redis.ping() for _ in range(40)), return_exceptions=True) for _ in range(5)]
        return Counter(type(error) for each in found for error in each)

    assert uvloop.run(errors()) == {ConnectionError: 200}  # as a worker runs


def measured_calls(outcome: str) -> float:
    return REGISTRY.get_sample_value("seatwright_redis_call_seconds_count", {"outcome": outcome}) or 0.0


async def test_calls_are_counted_by_how_they_ended() -> None:
    before = measured_calls("answered"), measured_calls("ConnectionError")
    await RetryOnce().call_with_retry(Server(failures=1).ask, Server(0).disconnect)
    with pytest.raises(ConnectionError):
        await NoRetry().call_with_retry(Server(failures=1).ask, Server(0).disconnect)
    assert (measured_calls("answered"), measured_calls("ConnectionError")) == (before[0] + 1, before[1] + 1)


async def test_connections_that_calls_use_are_shown_beside_the_pools_limit(settings: Settings) -> None:
    redis = open_for_seats(settings)

    def shown(what: str) -> float | None:
        return REGISTRY.get_sample_value(f"seatwright_redis_connections_{what}", {"pool": "seats"})

    assert (shown("in_use"), shown("limit")) == (0, 50)
    async with redis.client():
        assert shown("in_use") == 1
    assert shown("in_use") == 0
    await redis.aclose()


async def test_of_two_redis_pools_with_one_name_the_fullest_is_shown(settings: Settings) -> None:
    used, idle = open_for_limits(settings), open_for_limits(settings)
    limit = used.connection_pool.max_connections
    async with used.client():
        labels = {"pool": "call limits"}
        assert REGISTRY.get_sample_value("seatwright_redis_connections_in_use", labels) == 1
        assert REGISTRY.get_sample_value("seatwright_redis_connections_limit", labels) == limit
    await used.aclose()
    await idle.aclose()
