"""Reads each body before the application does: bounds its size and form, and refuses card numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth.tokens import Principal
from api.edge.bounds import SIGNED, Bounds, body_too_large, bounds_of, form_refused, json_refused, target_refused
from api.edge.caller import caller_of
from api.edge.card_numbers import find_card_number, refusal
from api.edge.json_body import parsed
from api.edge.rate_limits import address_of
from api.http.off_loop import Queue
from api.http.problems import respond
from domain.problems import Problem, ProblemType, Refused

_BODY: Final = "seatwright.body"
_DRAINED: Final = 8 * 1024 * 1024
_AT_ONCE: Final = 4 * 1024  # bytes that are scanned on the event loop: at most some milliseconds
_WAITING: Final = 100  # longer requests
_SECONDS: Final = 2.0  # that each of them may wait
_SHORT: Final = 16 * 1024  # bytes of a body that are not counted: what anyone may send to most routes
_TOGETHER: Final = 32 * 1024 * 1024  # bytes that the rests of all long bodies without a log-in may take at a time
_SHARES: Final = 8  # into which this is divided: an address has one of them at most


class _Room:
    """The memory for long bodies without a log-in: anyone can send them, on many connections, and slowly."""

    def __init__(self, size: int) -> None:
        self._size, self._taken = size, 0
        self._of_address = Counter[str]()

    @contextmanager
    def entered(self, address: str) -> Iterator[Callable[[int], bool]]:
        """Gives a function that takes bytes until the block ends; False if there are not enough."""
        taken = 0

        def take(count: int) -> bool:
            nonlocal taken
            if self._taken + count > self._size or self._of_address[address] + count > self._size // _SHARES:
                return False
            taken += count
            self._taken += count
            self._of_address[address] += count
            return True

        try:
            yield take
        finally:
            self._taken -= taken
            self._of_address[address] -= taken
            if not self._of_address[address]:
                del self._of_address[address]


class BodyGuard:
    """Reads the body before the application does: a limit holds however it is sent, and card numbers go no further."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._scans = Queue(_WAITING, _SECONDS)
        self._room = _Room(_TOGETHER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request with its body read, or refuse it; a caller who leaves before its end is not served."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._room.entered(address_of(scope)) as take:
            await self._serve(scope, receive, send, take)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, take: Callable[[int], bool]) -> None:
        caller = caller_of(scope)
        bounds = bounds_of(scope, caller)
        try:
            body = await _read(receive, bounds, caller, take)
        except ClientDisconnect:
            return
        except Refused as refused:
            await respond(refused.problem, Request(scope), headers={"Connection": "close"})(scope, receive, send)
            return
        if problem := await self._problem(scope, body, bounds):
            await respond(problem, Request(scope))(scope, receive, send)
        else:
            scope[_BODY] = body
            await self._app(scope, _replay(body, receive), send)

    async def _problem(self, scope: Scope, body: bytes, bounds: Bounds) -> Problem | None:
        """Why the request goes no further: its form is checked first, then what it says."""
        if problem := target_refused(scope):
            return problem
        if str(scope["path"]).startswith(SIGNED):
            body = b""
        value = parsed(body)
        if problem := json_refused(value, bounds):
            return problem
        if _is_form(scope) and (problem := form_refused(body)):
            return problem
        try:
            field = await self._card_number(scope, body, value)
        except Refused as refused:
            return refused.problem
        return refusal(field) if field else None

    async def _card_number(self, scope: Scope, body: bytes, value: Any) -> str | None:
        if len(body) + len(scope["path"]) + len(scope["query_string"]) > _AT_ONCE:
            return await self._scans.result(find_card_number, scope, body, value)
        return find_card_number(scope, body, value)


def body_of(scope: Scope) -> bytes:
    """The whole body of a request that has passed `BodyGuard`."""
    body: bytes = scope[_BODY]
    return body


def _is_form(scope: Scope) -> bool:
    return "form" in Headers(scope=scope).get("content-type", "").lower()


async def _read(receive: Receive, bounds: Bounds, caller: Principal | None, take: Callable[[int], bool]) -> bytes:
    """The whole body.

    A body that is refused is still taken in for some way: a connection closed while the client sends would lose our
    answer.

    Raises:
        ClientDisconnect: The caller has left before the end of the body.
        Refused: BODY_TOO_LARGE: It has too many bytes. UNAVAILABLE: All such bodies together have too many.
    """
    parts: list[bytes] = []
    refusal: Refused | None = None
    size, more = 0, True
    while more and size <= _DRAINED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size, more = size + len(part), message.get("more_body", False)
        if size > bounds.size:
            refusal = body_too_large(bounds, caller)
        elif not (caller or refusal) and size > _SHORT and not take(len(part)):
            refusal = Refused(ProblemType.UNAVAILABLE, "Too many long messages arrive. Send it again in a moment.")
        parts.append(part)
        if refusal:
            parts.clear()
    if refusal:
        raise refusal
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def replayed() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
