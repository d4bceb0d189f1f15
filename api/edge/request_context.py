"""Gives every request an id, a line in the access log and security headers, and answers unexpected errors."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import structlog
from fastapi import Request
from opentelemetry import context, propagate, trace
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanKind,
    StatusCode,
    format_span_id,
    format_trace_id,
    use_span,
)
from prometheus_client import Histogram
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from api.http.problems import INTERNAL, respond
from domain.card_numbers import has_card_number

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
_PROBES = {"/livez", "/readyz"}
_STREAM = "/stream"  # it reads the database twice a second for up to half an hour: its trace would have no end
_tracer = trace.get_tracer("seatwright.api")
_access = structlog.get_logger()
_requests = Histogram(
    "seatwright_http_request_seconds",
    "Requests by route and status, from the first byte to the last",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30),
)


class RequestContext:
    """Gives each request an id, logs it, adds security headers, and answers errors that no handler has answered."""

    def __init__(self, app: ASGIApp, internal_token: SecretStr | None = None) -> None:
        """Args: internal_token: The trace of a caller that has it is continued: it is one of our own processes."""
        self._app = app
        self._token = f"Bearer {internal_token.get_secret_value()}".encode() if internal_token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                _add_headers(message, scope, span)
            await send(message)

        scope["request_id"] = _request_id(scope)
        with structlog.contextvars.bound_contextvars(request_id=scope["request_id"]), self._span(scope) as span:
            try:
                await self._app(scope, receive, watched)
            except Exception:
                structlog.get_logger().exception("unexpected error", route=_route(scope))
                if status:
                    raise
                await respond(INTERNAL, Request(scope))(scope, receive, watched)
            finally:
                _describe(span, scope, status)
                _log(scope, status, time.perf_counter() - started)

    @contextmanager
    def _span(self, scope: Scope) -> Iterator[Span]:
        """The request's span. FastAPI's own spans would cost more and say less.

        It is in a trace of our own, with a link to the caller's: else callers would decide what is recorded, and where.
        """
        if scope["path"] in _PROBES or scope["path"].endswith(_STREAM):
            yield INVALID_SPAN
            return
        headers = Headers(scope=scope)
        given = headers.get("traceparent")
        cause = propagate.extract({"traceparent": given} if given else {}, context.Context())
        span = self._started(scope["method"], cause, headers.get("authorization", ""))
        if span.is_recording():
            with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
                yield span
            return
        token = context.attach(cause)  # the caller's own, unchanged: a span that nothing records would be no cause
        try:
            yield INVALID_SPAN
        finally:
            context.detach(token)

    def _started(self, name: str, cause: context.Context, authorization: str) -> Span:
        caller = trace.get_current_span(cause).get_span_context()
        is_ours = self._token and hmac.compare_digest(authorization.encode(), self._token)
        if is_ours or not caller.is_valid:
            return _tracer.start_span(name, cause, SpanKind.SERVER)
        return _tracer.start_span(name, context.Context(), SpanKind.SERVER, links=[Link(caller)])


def _describe(span: Span, scope: Scope, status: int) -> None:
    if not span.is_recording():
        return
    route = _route(scope)
    span.update_name(f"{scope['method']} {route}")
    span.set_attributes(
        {
            "http.request.method": scope["method"],
            "http.route": route,
            "http.response.status_code": status,
            "seatwright.request_id": scope["request_id"],
        }
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or not status:
        span.set_status(StatusCode.ERROR)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) and not has_card_number(given) else str(uuid7())


def _add_headers(message: Message, scope: Scope, span: Span) -> None:
    headers: list[tuple[bytes, bytes]] = message["headers"]
    there = {name for name, _ in headers}
    message["headers"] = [
        *headers,
        *(header for header in _ENCODED if header[0] not in there),
        (b"x-request-id", scope["request_id"].encode()),
    ]
    if span.is_recording():
        at = span.get_span_context()
        here = f"00-{format_trace_id(at.trace_id)}-{format_span_id(at.span_id)}-01"
        message["headers"].append((b"traceresponse", here.encode()))
    if scope["app"].state.draining:
        message["headers"].append((b"connection", b"close"))  # so that no request comes on it while the process stops


def _route(scope: Scope) -> str:
    """The route's template, never the path: a path may contain what does not belong in a log."""
    return getattr(scope.get("route"), "path", "-")


def _log(scope: Scope, status: int, seconds: float) -> None:
    # The server refuses methods that callers invent, so the labels are few.
    _requests.labels(scope["method"], _route(scope), status).observe(seconds)
    _access.info(
        "request",
        logger="access",
        method=scope["method"],
        route=_route(scope),
        status=status,
        ms=round(seconds * 1000, 1),
    )
