"""Bounds the time until a call is answered: where one of our servers hangs, every call gets a 503 and none hangs."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.deadlines import CHANGE_WAIT
from api.http.problems import UNAVAILABLE, respond
from config.settings import Settings
from domain.problems import Problem, ProblemType

_SECONDS: Final = 5.0
"""More than any single call to a server may take, so that its own problem, which says more, comes first."""

_OF_SAGAS: Final = re.compile(r"/v1/(?:bookings(?:/.*)?|events/[^/]+/(?:publish|cancel))")
"""Calls that start a saga or wait for one. They bound their own waits, and say that the outcome is unknown."""

_DONE_OR_NOT: Final = Problem(
    type=ProblemType.OUTCOME_UNKNOWN,
    detail="A part of the service did not answer in time. The change may have been made: read the state first, or "
    "repeat the call with the same Idempotency-Key.",
)


class AnswerTime:
    """Runs innermost, around the routes: the time of the caller, and of limits and scans, is bounded elsewhere."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        # A saga's command calls servers before its wait and after it.
        self._longest = max(settings.hold_wait, settings.payment_wait, CHANGE_WAIT) + 2 * _SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; 503 in its place if its answer has not begun in time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call(scope, receive, send)
        timer = asyncio.get_running_loop().call_later(self.bound_of(scope["method"], scope["path"]), call.end)
        try:
            await self._app(scope, receive, call.send)
        except asyncio.CancelledError:
            if not call.is_over:
                raise
            call.task.uncancel()
        except Exception:
            if not call.is_over:
                raise
        finally:
            timer.cancel()
            await call.finish()

    def bound_of(self, method: str, path: str) -> float:
        """Seconds until the answer of a call has begun."""
        return self._longest if method != "GET" and _OF_SAGAS.fullmatch(path) else _SECONDS


class _Call:
    """One call. Its 503 is sent beside it: psycopg takes up to ten seconds to give up a server that hangs."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.is_over = self._has_begun = False
        self._answer: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        """Pass on what the call answers, unless its time is over."""
        if not self.is_over:
            self._has_begun = True
            await self._send(message)

    def end(self) -> None:
        """Answer 503 and give up the call, unless its answer has begun."""
        if self._has_begun:
            return
        self.is_over = True
        structlog.get_logger().warning("no answer in time", route=getattr(self._scope.get("route"), "path", "-"))
        problem = UNAVAILABLE if self._scope["method"] in ("GET", "HEAD") else _DONE_OR_NOT
        response = respond(problem, Request(self._scope))
        self._answer = asyncio.create_task(response(self._scope, self._receive, self._send))
        self.task.cancel()

    async def finish(self) -> None:
        """Wait for the 503, if there was one."""
        if self._answer:
            await self._answer
