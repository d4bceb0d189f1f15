"""Bounds a connection before anything is served on it: the size of heads, the time of its caller, how many there are.

Trailers (RFC 9110, section 6.5) are dropped: what stands behind a body was in no check of the headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from enum import StrEnum, auto
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import httptools
import uvicorn
from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.edge.unread import Unread
from api.http.problems import raw_response
from domain.problems import Problem, ProblemType

_SLICE: Final = 4096  # bytes that are parsed at once: a limit is noticed after as many
_LINGER: Final = 1.0  # seconds: closing at once would reset the connection, and the caller would lose the answer
_SURPLUS: Final = 8 * 1024 * 1024  # bytes of a body that are still taken in after its answer, for the same reason


class Refusal(StrEnum):
    """Why a connection is closed before its request is served."""

    MALFORMED = auto()
    LARGE_HEAD = auto()
    SLOW_HEAD = auto()
    SLOW_BODY = auto()
    SLOW_READER = auto()
    TOO_MANY = auto()


_REFUSED: Final = Counter(
    "seatwright_connections_refused", "Connections that were closed before their request was served", ["reason"]
)


class ConnectionBounds(NamedTuple):
    """What one process grants its callers.

    Attributes:
        connections: How many may be open. Beyond it the one that has waited longest for its caller is closed.
        head_bytes: Request line and headers, and trailers.
        headers: How many lines of them.
        head_seconds: From the connection, or the first byte of a further request, to the last header.
        body_seconds: From the last header to the end of the body.
        read_seconds: How long a caller may leave an answer unread.
        unread_bytes: Of all answers together, as they are in memory. Beyond it the one that is unread longest ends.
    """

    connections: int = 1000
    head_bytes: int = 16 * 1024
    headers: int = 100
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    read_seconds: float = 60.0
    unread_bytes: int = 128 * 1024 * 1024


class BoundedConfig(uvicorn.Config):
    """A configuration that serves by `BoundedProtocol`."""

    def __init__(self, app: Any, bounds: ConnectionBounds, **options: Any) -> None:
        super().__init__(app, http=BoundedProtocol, ws="none", **options)
        self.bounds = bounds
        self.waiting: dict[BoundedProtocol, None] = {}
        """The connections that wait for their callers: the longest wait comes first."""
        self.unread: Unread[BoundedProtocol] = Unread(bounds.unread_bytes)


class _Turn(StrEnum):
    HEAD = auto()
    BODY = auto()
    OURS = auto()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A head or body that is too large or too slow gets problem details and ends it."""

    def __init__(self, config: uvicorn.Config, *args: Any, **named: Any) -> None:
        super().__init__(config, *args, **named)
        assert isinstance(config, BoundedConfig)
        self._bounds, self._waiting, self._answers = config.bounds, config.waiting, config.unread
        self._inner: ASGIApp = self.app
        self.app = self._serve
        self._written = b""
        self._turn = _Turn.HEAD
        self._message = 0
        self._timed: tuple[int, _Turn] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._unread = b""
        self._head = self._silent = self._surplus = 0
        self._goes_on = self._has_begun = self._is_refused = False
        self._refusal = Refusal.MALFORMED

    # Of the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit the connection, if need be in place of one that waits."""
        super().connection_made(transport)
        # So `pause_writing` is called as soon as the kernel takes no more, and `resume_writing` when it has all.
        transport.set_write_buffer_limits(high=0)
        if len(self.connections) > self._bounds.connections:
            if not self._waiting:
                self._refuse(Refusal.TOO_MANY)
                return
            next(iter(self._waiting))._end(Refusal.TOO_MANY)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        self._stop_reader_timer()
        self._leave()
        self._unread, self.app = b"", self._inner
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, as far as it is within the bounds."""
        if self._is_refused:
            return
        self._unread += data
        self._parse()

    def _parse(self) -> None:
        """Parse in slices. Behind a second request on the connection the rest waits for the first one's answer."""
        given, at = memoryview(self._unread), 0
        while at < len(given) and not self.pipeline and not self._is_over():
            self._goes_on = False
            piece = given[at : at + _SLICE]
            at += len(piece)
            super().data_received(bytes(piece))
            self._silent = 0 if self._goes_on else self._silent + len(piece)
            if self._silent > self._bounds.head_bytes:
                self._refuse(Refusal.LARGE_HEAD)
        self._unread = bytes(given[at:])
        if self._is_over():
            return
        if len(self._unread) > self._bounds.head_bytes:
            self._refuse(Refusal.LARGE_HEAD)  # more requests than are answered one after another
        else:
            self._watch()

    def _is_over(self) -> bool:
        return self._is_refused or self.transport.is_closing()

    # Of the parser

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._turn, self._message, self._head = _Turn.HEAD, self._message + 1, 0
        self._goes_on = self._has_begun = True

    def on_url(self, url: bytes) -> None:
        """A part of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; a trailer is dropped."""
        if self._turn is not _Turn.HEAD:
            return
        self._count(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)
        if len(self.headers) > self._bounds.headers:
            self._stop_parsing(Refusal.LARGE_HEAD)

    def on_headers_complete(self) -> None:
        """The head is whole: serve the request."""
        self._turn, self._goes_on = _Turn.BODY, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._goes_on = True
        if self.cycle.response_complete:
            self._surplus += len(body)
            if self._surplus > _SURPLUS:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._turn, self._goes_on = _Turn.OURS, True
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self._bounds.head_bytes:
            self._stop_parsing(Refusal.LARGE_HEAD)

    def _stop_parsing(self, why: Refusal) -> None:
        self._refusal = why
        raise httptools.HttpParserError(why)  # the parser then ends in `send_400_response`

    def _unsupported_upgrade_warning(self) -> None:
        """Stay silent: every caller could fill the log with it."""

    # Of the answer

    def _serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request, and know what is being written: `pause_writing` is called in the middle of that."""

        def written(message: Message) -> Awaitable[None]:
            self._written = message.get("body", b"")
            return send(message)

        return self._inner(scope, receive, written)

    def on_response_complete(self) -> None:
        """The answer is written: go on with the requests that came with it."""
        super().on_response_complete()
        self._written = b""
        if self.transport.is_closing():
            return
        if self._is_refused:
            self._linger()
        elif self._unread and not self.pipeline:
            self.loop.call_soon(self._parse_rest)
        else:
            self._watch()

    def _parse_rest(self) -> None:
        if not self._is_over():
            self._parse()

    def pause_writing(self) -> None:
        """The caller leaves a part of the answer unread. A closed connection, too, stays open until it is read."""
        super().pause_writing()
        self._reader_timer = self.loop.call_later(self._bounds.read_seconds, self._end, Refusal.SLOW_READER)
        self._note()
        self._answers.add(self, self._written)
        while longest := self._answers.one_too_many():
            longest._end(Refusal.SLOW_READER)

    def resume_writing(self) -> None:
        """The kernel has taken the whole answer."""
        super().resume_writing()
        self._answers.remove(self)
        self._stop_reader_timer()
        self._note()

    # Of the time

    def _watch(self) -> None:
        """Bound the time of the caller's turn, and note whether the connection waits for its caller."""
        self._note()
        turn = (self._message, self._turn)
        if turn == self._timed:
            return
        self._timed = turn
        self._stop_timer()
        if self._turn is not _Turn.OURS:
            self._timer = self.loop.call_later(self._granted(), self._too_slow)

    def _note(self) -> None:
        self._waiting.pop(self, None)
        if self._waits():
            self._waiting[self] = None

    def _waits(self) -> bool:
        cycle = self.cycle
        is_ours = self._is_refused or self.pipeline
        return self.flow.write_paused or (not is_ours and (cycle is None or cycle.response_complete or cycle.more_body))

    def _granted(self) -> float:
        return self._bounds.head_seconds if self._turn is _Turn.HEAD else self._bounds.body_seconds

    def _too_slow(self) -> None:
        if self.flow.read_paused or self.pipeline:  # it is we who do not read
            self._timer = self.loop.call_later(self._granted(), self._too_slow)
        elif self._has_begun:
            self._refuse(Refusal.SLOW_HEAD if self._turn is _Turn.HEAD else Refusal.SLOW_BODY)
        else:
            self._end(Refusal.SLOW_HEAD)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _stop_reader_timer(self) -> None:
        if self._reader_timer:
            self._reader_timer.cancel()
            self._reader_timer = None

    # Of the end

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, or was too large to be."""
        self._refuse(self._refusal)

    def _refuse(self, why: Refusal) -> None:
        """Answer with a problem, and close. If another answer is under way, the connection ends with that one."""
        cycle, self._is_refused, self._unread = self.cycle, True, b""
        self._stop_timer()
        self._note()
        _REFUSED.labels(why).inc()
        is_under_way = cycle is not None and not cycle.response_complete
        if is_under_way and (self.pipeline or cycle.response_started or not cycle.more_body):
            # If requests are queued, this is the last of them, and not the one being answered: then
            # `on_response_complete` ends the connection.
            cycle.keep_alive = False
            self.pipeline.clear()
            return
        status = HTTPStatus.BAD_REQUEST if why is Refusal.MALFORMED else None
        self.transport.write(raw_response(_PROBLEMS[why], str(uuid7()), status=status))
        if is_under_way:
            cycle.disconnected = True
            cycle.message_event.set()
        self._linger()

    def _linger(self) -> None:
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_LINGER, self.transport.close)

    def _end(self, why: Refusal) -> None:
        """End without an answer: the caller does not read one, or has sent nothing."""
        self._leave()
        _REFUSED.labels(why).inc()
        self.transport.abort()  # `close` waits for the caller to read what is written

    def _leave(self) -> None:
        self._waiting.pop(self, None)
        self._answers.remove(self)


_LARGE, _SLOW = ProblemType.HEADERS_TOO_LARGE, ProblemType.REQUEST_TIMEOUT
_PROBLEMS: Final = {
    Refusal.MALFORMED: Problem(type=ProblemType.INVALID_REQUEST, detail="This is not an HTTP/1.1 request."),
    Refusal.LARGE_HEAD: Problem(
        type=_LARGE,
        detail="URL, headers and trailers have a limit of 16 KiB and 100 lines; only a few requests may wait.",
    ),
    Refusal.SLOW_HEAD: Problem(type=_SLOW, detail="The headers took too long to arrive."),
    Refusal.SLOW_BODY: Problem(type=_SLOW, detail="The body took too long to arrive."),
    Refusal.TOO_MANY: Problem(type=ProblemType.UNAVAILABLE, detail="There are too many connections. Try again soon."),
}
