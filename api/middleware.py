"""What happens around every request: its id, its line in the access log, a bound on its body, and the last resort."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog
from fastapi import Request
from opentelemetry import context, propagate
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from api.card_numbers import find_card_number, refusal
from api.problems import INTERNAL, respond
from domain.card_numbers import has_card_number
from domain.problems import Problem, ProblemType

BODY_LIMIT = 64 * 1024
_MORE = {"/v1/codec/decode": 1024 * 1024}  # a page of a history
_BODY = "seatwright.body"
_AFTERWARDS = "seatwright.afterwards"
_DRAINED = 8 * 1024 * 1024
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-site",
    "Strict-Transport-Security": "max-age=31536000",  # without TLS it is ignored
    "Cache-Control": "no-store",
}
_ENCODED = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
_access = structlog.get_logger()
_TOO_LARGE = Problem(type=ProblemType.BODY_TOO_LARGE, detail=f"A body may have {BODY_LIMIT} bytes.")


class RequestContext:
    """Gives each request an id, logs it, adds security headers, and answers errors that nobody else answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                _add_headers(message, scope)
            await send(message)

        scope["request_id"] = _request_id(scope)
        scope[_AFTERWARDS] = []
        with structlog.contextvars.bound_contextvars(request_id=scope["request_id"]), _continued_trace(scope):
            try:
                await self._app(scope, receive, watched)
            except Exception:
                structlog.get_logger().exception("unexpected error", route=_route(scope))
                if status:
                    raise
                await respond(INTERNAL, Request(scope))(scope, receive, watched)
            finally:
                _log(scope, status, time.perf_counter() - started)
            for work in scope[_AFTERWARDS]:
                await _done(work)


def afterwards(request: Request, work: Callable[[], Awaitable[None]]) -> None:
    """Have something done when the answer has gone, whatever it is, so that its time tells nobody anything.

    A process that is told to stop waits for it; one that is killed does not do it.
    """
    request.scope[_AFTERWARDS].append(work)


async def _done(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:
        structlog.get_logger().exception("not done after the answer")


@contextmanager
def _continued_trace(scope: Scope) -> Iterator[None]:
    """Go on with the trace that the caller has begun, if so. FastAPI's own spans would cost more and go nowhere."""
    given = Headers(scope=scope).get("traceparent")
    token = context.attach(propagate.extract({"traceparent": given})) if given else None
    try:
        yield
    finally:
        if token:
            context.detach(token)


class BodyGuard:
    """Reads the body before the application does: a limit holds however it is sent, and card numbers go no further."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read(receive, _MORE.get(scope["path"], BODY_LIMIT))
        if body is None:
            await respond(_TOO_LARGE, Request(scope), headers={"Connection": "close"})(scope, receive, send)
            return
        scope[_BODY] = b"".join(message.get("body", b"") for message in body)
        if field := find_card_number(scope, scope[_BODY]):
            await respond(refusal(field), Request(scope))(scope, receive, send)
        else:
            await self._app(scope, _replay(body, receive), send)


def body_of(scope: Scope) -> bytes:
    """The whole body of a request that has passed `BodyGuard`."""
    body: bytes = scope[_BODY]
    return body


async def _read(receive: Receive, limit: int) -> list[Message] | None:
    """The body's messages up to its end; None if it is larger than `limit` bytes.

    Some way beyond the limit it is still taken in: a connection closed while the client sends would lose our answer.
    """
    messages: list[Message] = []
    size, more = 0, True
    while more and size <= _DRAINED:
        message = await receive()
        size += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
        if size <= limit:
            messages.append(message)
    return messages if size <= limit else None


def _replay(messages: list[Message], receive: Receive) -> Receive:
    waiting: Iterator[Message] = iter(messages)

    async def replayed() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return replayed


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) and not has_card_number(given) else str(uuid7())


def _add_headers(message: Message, scope: Scope) -> None:
    headers: list[tuple[bytes, bytes]] = message["headers"]
    there = {name for name, _ in headers}
    message["headers"] = [
        *headers,
        *(header for header in _ENCODED if header[0] not in there),
        (b"x-request-id", scope["request_id"].encode()),
    ]
    if scope["app"].state.draining:
        message["headers"].append((b"connection", b"close"))  # so that no request comes on it when we leave


def _route(scope: Scope) -> str:
    """The route's template, never the path: a path may carry what does not belong into a log."""
    return getattr(scope.get("route"), "path", "-")


def _log(scope: Scope, status: int, seconds: float) -> None:
    _access.info(
        "request",
        logger="access",
        method=scope["method"],
        route=_route(scope),
        status=status,
        ms=round(seconds * 1000, 1),
    )
