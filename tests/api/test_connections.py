"""A connection costs little before its request is served: sizes, times and numbers are bounded while it is read."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

import orjson
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.edge.connections import BoundedConfig, ConnectionBounds
from config.settings import Settings
from tests.waiting import eventually

QUICK = ConnectionBounds(connections=20, head_seconds=0.4, body_seconds=0.4, read_seconds=0.4)
LARGE = 8 * 1024 * 1024
MIDDLING = 48 * 1024
SMALL_BUFFER = 4096
SHARED = b"x" * 1024 * 1024


def test_a_process_serves_a_thousand_callers_and_waits_seconds_for_each() -> None:
    bounds = {"connections": 1000, "head_bytes": 16_384, "headers": 100}
    times = {"head_seconds": 10, "body_seconds": 30, "read_seconds": 60}
    assert ConnectionBounds()._asdict() == bounds | times | {"unread_bytes": 128 * 1024 * 1024}
    assert Settings(mode="development").connections == 1000


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it has got: its headers after the body, and the body's size; other paths by their names."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    names = [name.decode() for name, _ in scope["headers"]]
    sized = {"/large": LARGE, "/middling": MIDDLING}.get(scope["path"])
    body = b"x" * sized if sized else orjson.dumps({"headers": names, "size": size})
    body = SHARED if scope["path"] == "/shared" else body
    await asyncio.sleep(0.8 if scope["path"] == "/slow" else 0)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Answer(NamedTuple):
    status: int
    kind: str
    body: bytes
    seconds: float

    @property
    def problem(self) -> str:
        return str(orjson.loads(self.body)["type"].rpartition("/")[2])


class Caller:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._since = time.monotonic()

    async def sends(self, *parts: bytes, pause: float = 0) -> None:
        """Send in parts; a server that closes ends it."""
        try:
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
                await asyncio.sleep(pause)
        except ConnectionError:
            return

    async def gets(self) -> Answer | None:
        """The next answer; None where the server closes without one."""
        try:
            head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        body = await self.reader.readexactly(int(fields["content-length"]))
        return Answer(int(head.split()[1]), fields.get("content-type", ""), body, time.monotonic() - self._since)

    async def is_closed(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(), 10) == b""
        except ConnectionError:
            return True


class Serving(NamedTuple):
    """A server, and those who have called it."""

    server: uvicorn.Server
    callers: list[Caller]

    async def call(self, *parts: bytes) -> Caller:
        self.callers.append(Caller(*await asyncio.open_connection("127.0.0.1", self.port)))
        await self.callers[-1].sends(*parts)
        return self.callers[-1]

    async def call_without_reading(self, request: bytes) -> socket.socket:
        """Of an answer the caller's system takes a few KiB, and the caller none."""
        caller = socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        caller.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(caller, ("127.0.0.1", self.port))
        await loop.sock_sendall(caller, request)
        return caller

    @property
    def port(self) -> int:
        return int(self.server.servers[0].sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    @property
    def answers(self) -> int:
        return self.server.server_state.total_requests


@asynccontextmanager
async def serving(bounds: ConnectionBounds = QUICK, send_buffer: int | None = None) -> AsyncIterator[Serving]:
    server = uvicorn.Server(BoundedConfig(application, bounds, lifespan="off", log_config=None))
    listening = socket.create_server(("127.0.0.1", 0), backlog=100)
    if send_buffer:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    running = asyncio.create_task(server._serve([listening]))
    await eventually(lambda: server.started)
    made = Serving(server, [])
    try:
        yield made
    finally:
        for caller in made.callers:
            caller.writer.close()
        for connection in server.server_state.connections:
            connection.transport.abort()
        server.should_exit = server.force_exit = True
        await running


GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
MEGABYTE = 1024 * 1024


def header(size: int) -> bytes:
    """A header line of so many bytes."""
    return b"X-Long: " + b"a" * (size - 10) + b"\r\n"


ROOM = 16 * 1024 - len(b"/" + b"Host: a\r\n")
HEADS: dict[str, tuple[list[bytes], int]] = {
    "16 KiB in one header": ([GET, header(ROOM), b"\r\n"], 200),
    "a byte more": ([GET, header(ROOM + 1), b"\r\n"], 431),
    "two headers of 8 KiB": ([GET, header(8192), header(8192), b"\r\n"], 431),
    "a long address": ([b"GET /?" + b"a" * 17_000 + b" HTTP/1.1\r\n\r\n"], 431),
    "10 MB in one header": ([GET, *[b"X-Request-Id: " + b"a" * MEGABYTE], *[b"a" * MEGABYTE] * 9], 431),
    "an address without end": ([b"GET /", *[b"a" * MEGABYTE] * 10], 431),
    "a method without end": ([b"A" * MEGABYTE] * 2, 400),
    "a name without end": ([GET, *[b"a" * MEGABYTE] * 10], 431),
    "100 lines": ([GET, b"a: b\r\n" * 99, b"\r\n"], 200),
    "101 lines": ([GET, b"a: b\r\n" * 100, b"\r\n"], 431),
    "lines without end": ([GET, *[b"a: b\r\n" * 100_000] * 5], 431),
    "empty lines without end": ([b"\r\n" * MEGABYTE] * 5, 431),
    "a trailer": ([CHUNKED, b"Authorization: Bearer x\r\n\r\n"], 200),
    "trailers without end": ([CHUNKED, *[b"a: b\r\n" * 100_000] * 5], 431),
    "a trailer of 10 MB": ([CHUNKED, b"a: ", *[b"a" * MEGABYTE] * 10], 431),
    "a chunk extension of 10 MB": ([POST, b"Transfer-Encoding: chunked\r\n\r\n3;", *[b"a" * MEGABYTE] * 10], 431),
    "no HTTP": ([b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"], 400),
}


@pytest.mark.parametrize(("parts", "status"), HEADS.values(), ids=HEADS)
async def test_what_stands_around_a_body_is_bounded_while_it_is_read(parts: list[bytes], status: int) -> None:
    async with serving() as door:
        caller = await door.call()
        sending = asyncio.create_task(caller.sends(*parts))
        answer = await caller.gets()
        await sending
    assert answer is not None
    assert answer.status == status
    if status != 200:
        assert answer.kind == "application/problem+json"
        assert answer.problem == {431: "headers-too-large", 400: "invalid-request"}[status]


async def test_a_refused_head_does_not_hold_the_loop_and_closes_the_connection() -> None:
    async with serving() as door:
        caller, began = await door.call(), time.process_time()
        sending = asyncio.create_task(caller.sends(GET, b"X-Request-Id: ", *[b"1 " * 500_000] * 10))
        assert (await caller.gets()) is not None
        assert time.process_time() - began < 0.5, "10 MB took 8 s"
        await sending
        await eventually(lambda: not door.connections)


async def test_trailers_are_dropped() -> None:
    async with serving() as door:
        caller = await door.call()
        await caller.sends(CHUNKED)
        await asyncio.sleep(0.05)
        await caller.sends(b"Authorization: Bearer x\r\nX-Other: y\r\n\r\n", GET + b"\r\n")
        first, second = await caller.gets(), await caller.gets()
    assert first
    assert orjson.loads(first.body) == {"headers": ["host", "transfer-encoding"], "size": 3}
    assert second
    assert orjson.loads(second.body) == {"headers": ["host"], "size": 0}


SLOW: dict[str, tuple[list[bytes], int | None]] = {
    "nothing": ([], None),
    "half a request line": ([b"GET / HT"], 408),
    "half a head": ([GET], 408),
    "a header a moment": ([GET, *[b"a: b\r\n"] * 50], 408),
    "an empty line a moment": ([b"\r\n"] * 50, None),
    "half a body": ([POST, b"Content-Length: 10\r\n\r\nhalf"], 408),
    "a byte of the body a moment": ([POST, b"Content-Length: 100\r\n\r\n", *[b"a"] * 50], 408),
    "half a chunk": ([POST, b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"], 408),
    "no end of the trailers": ([CHUNKED, *[b"a: b\r\n"] * 50], 408),
    "half of a second request": ([GET, b"\r\n", GET], 408),
}


async def test_a_caller_who_does_not_go_on_is_left_in_time() -> None:
    async with serving() as door:
        left = await asyncio.gather(*(_left(door, parts) for parts, _ in SLOW.values()))
        await eventually(lambda: not door.connections)
    assert dict(zip(SLOW, left, strict=True)) == {name: status for name, (_, status) in SLOW.items()}


async def _left(door: Serving, parts: list[bytes]) -> int | None:
    """The status with which a caller is left who sends these parts, and no more."""
    caller = await door.call()
    sending = asyncio.create_task(caller.sends(*parts, pause=0.05))
    answer = await caller.gets()
    if answer and answer.status == 200:
        answer = await caller.gets()
    assert answer is None or answer.problem == "request-timeout", parts
    assert await caller.is_closed(), parts
    sending.cancel()
    return answer.status if answer else None


async def test_a_caller_who_is_slow_but_in_time_is_served() -> None:
    async with serving(QUICK._replace(head_seconds=10, body_seconds=10)) as door:
        caller = await door.call()
        for _ in range(2):
            await caller.sends(*_bytes_of(POST + b"Content-Length: 4\r\n\r\nbody"), pause=0.002)
            answer = await caller.gets()
            assert answer
            assert answer.status == 200


async def test_the_time_of_our_own_work_does_not_count() -> None:
    async with serving() as door:
        caller = await door.call()
        await caller.sends(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await caller.gets()
    assert answer
    assert (answer.status, answer.seconds > QUICK.head_seconds) == (200, True)


async def test_a_caller_who_does_not_read_is_left_in_time() -> None:
    async with serving() as door:
        await (await door.call()).sends(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await eventually(lambda: door.connections)
        await eventually(lambda: not door.connections)


async def test_silent_connections_keep_no_caller_out() -> None:
    patient = QUICK._replace(head_seconds=60, body_seconds=60)
    async with serving(patient) as door:
        silent: list[Caller] = []
        for part in (b"", GET, POST + b"Content-Length: 10\r\n\r\nhalf") * 20:
            silent.append(await door.call())
            await silent[-1].sends(part)
        caller = await door.call()
        await caller.sends(GET + b"\r\n")
        answer = await caller.gets()
        assert answer
        assert answer.status == 200
        assert door.connections <= patient.connections
        assert await silent[0].is_closed(), "the one that waits longest goes first"


async def test_a_connection_that_is_being_served_is_never_closed_for_another() -> None:
    async with serving(QUICK._replace(connections=3)) as door:
        served = [await door.call() for _ in range(3)]
        for caller in served:
            await caller.sends(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.1)
        refused = await (await door.call()).gets()
        assert refused
        assert (refused.status, refused.problem) == (503, "unavailable")
        answers = await asyncio.gather(*(caller.gets() for caller in served))
    assert [answer.status for answer in answers if answer] == [200] * 3


async def test_requests_that_come_together_are_answered_in_order() -> None:
    async with serving() as door:
        count = 400  # nearly 16 KiB
        caller = await door.call(b"".join(GET + f"X-{n}: a\r\n\r\n".encode() for n in range(count)))
        for n in range(count):
            answer = await caller.gets()
            assert answer
            assert orjson.loads(answer.body)["headers"] == ["host", f"x-{n}"]


@pytest.mark.parametrize("last", [GET, POST + b"Content-Length: 10\r\n"], ids=["reads", "and a write"])
async def test_a_queue_of_more_than_16_kib_is_cut_behind_the_answer_under_way(last: bytes) -> None:
    async with serving(QUICK._replace(head_seconds=10, body_seconds=10)) as door:
        loop = asyncio.get_running_loop()
        with await door.call_without_reading(
            b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + last + b"\r\n" + (GET + b"\r\n") * 2000
        ) as caller:
            answer = b""
            while piece := await loop.sock_recv(caller, 4096):
                answer += piece
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.startswith(b"HTTP/1.1 200 ")
        await eventually(lambda: not door.connections)


def _bytes_of(text: bytes) -> Iterable[bytes]:
    return (text[at : at + 1] for at in range(len(text)))
