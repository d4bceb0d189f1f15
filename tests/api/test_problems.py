"""Errors of libraries that mean "not reachable" are answered as such, whatever they are called there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
import uvloop
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.http.problems import install


async def write_to_who_has_hung_up() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.transport.abort(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.transport.abort()
    await asyncio.sleep(0)
    try:
        writer.writelines([b"HELLO"])
    finally:
        server.close()


def error_of_uvloop() -> RuntimeError:
    """What it really raises, in its own words."""
    raised: list[RuntimeError] = []

    def provoke() -> None:
        with pytest.raises(RuntimeError) as caught, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(write_to_who_has_hung_up())
        raised.append(caught.value)

    thread = threading.Thread(target=provoke)
    thread.start()
    thread.join()
    return raised[0]


@pytest.mark.parametrize(
    ("error", "status"),
    [(error_of_uvloop, 503), (lambda: RuntimeError("a bug"), 500)],
    ids=["hung up", "a bug"],
)
def test_a_server_that_closes_the_connection_at_the_start_is_a_503(error: Callable[[], Exception], status: int) -> None:
    app = FastAPI()
    install(app)

    @app.get("/")
    async def route() -> None:
        raise error()

    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert answer.status_code == status
    assert ("Retry-After" in answer.headers) is (status == 503)
