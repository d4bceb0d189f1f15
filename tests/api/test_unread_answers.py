"""An answer that its caller leaves unread holds neither a connection nor memory for long.

The tests run on uvloop, as the API does: what a transport keeps, and when it says so, is a matter of the event loop.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from tests.api.test_connections import GET, LARGE, MIDDLING, QUICK, SHARED, SMALL_BUFFER, Serving, serving
from tests.waiting import eventually

PATIENT = QUICK._replace(head_seconds=600, body_seconds=600, read_seconds=600)

UNREAD: dict[str, bytes] = {
    "an answer, and the connection ends": b"GET /middling HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "an answer, and the connection goes on": b"GET /middling HTTP/1.1\r\nHost: a\r\n\r\n",
    "answers to requests that come together": (GET + b"\r\n") * 300,
    "answers, and then no HTTP": (GET + b"\r\n") * 300 + b"\x16\x03\r\n\r\n",
}
"""Requests with answers below the 64 KiB that a transport takes before it makes its writer wait, unless told."""


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **named: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(*args, **named))

    return run


@pytest.mark.parametrize("requests", UNREAD.values(), ids=UNREAD)
@on_uvloop
async def test_a_small_answer_too_is_left_unread_for_so_long_only(requests: bytes) -> None:
    async with serving(send_buffer=SMALL_BUFFER) as door:
        with await door.call_without_reading(requests):
            await eventually(lambda: door.connections)
            await eventually(lambda: not door.connections, within=10)


@pytest.mark.parametrize("requests", UNREAD.values(), ids=UNREAD)
@on_uvloop
async def test_unread_answers_keep_no_caller_out(requests: bytes) -> None:
    async with serving(PATIENT, send_buffer=SMALL_BUFFER) as door:
        unread = [await door.call_without_reading(requests) for _ in range(2 * PATIENT.connections)]
        for _ in range(PATIENT.connections):
            await eventually(lambda: _is_served(door), within=10)
        await eventually(lambda: door.connections <= PATIENT.connections)
        for each in unread:
            each.close()


async def _is_served(door: Serving) -> bool:
    caller = await door.call(GET + b"Connection: close\r\n\r\n")
    answer = await caller.gets()
    return answer is not None and answer.status == 200


@on_uvloop
async def test_a_caller_who_reads_slowly_but_in_time_gets_all_of_an_answer() -> None:
    async with serving(PATIENT, send_buffer=SMALL_BUFFER) as door:
        with await door.call_without_reading(UNREAD["an answer, and the connection ends"]) as caller:
            assert await _read(caller, pause=0.005) > MIDDLING


@on_uvloop
async def test_the_answers_unread_for_longest_end_where_all_take_too_much_memory() -> None:
    async with serving(PATIENT._replace(unread_bytes=3 * LARGE)) as door, AsyncExitStack() as stack:
        large = b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        unread: list[socket.socket] = []
        while len(unread) < 5:
            unread.append(stack.enter_context(await door.call_without_reading(large)))
            await eventually(lambda: door.answers == len(unread))
        await eventually(lambda: door.connections == 3, within=10)
        assert await _read(unread[0]) < LARGE
        assert await _read(unread[-1]) > LARGE


@on_uvloop
async def test_an_answer_that_callers_share_counts_once() -> None:
    async with serving(PATIENT._replace(unread_bytes=2 * len(SHARED))) as door, AsyncExitStack() as stack:
        shared = b"GET /shared HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        callers = [stack.enter_context(await door.call_without_reading(shared)) for _ in range(10)]
        await eventually(lambda: door.answers == len(callers))
        for caller in callers:
            assert await _read(caller) > len(SHARED)


async def _read(caller: socket.socket, pause: float = 0) -> int:
    """How many bytes the server sends before it closes."""
    loop, got = asyncio.get_running_loop(), 0
    while piece := await loop.sock_recv(caller, 65_536 if not pause else 1024):
        got += len(piece)
        await asyncio.sleep(pause)
    return got
