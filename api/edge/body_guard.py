"""Reads each body before the application does: bounds its size and refuses card numbers."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.card_numbers import find_card_number, refusal
from api.http.problems import respond
from domain.problems import Problem, ProblemType

BODY_LIMIT = 64 * 1024
_MORE = {"/v1/codec/decode": 1024 * 1024}  # a page of a history
_BODY = "seatwright.body"
_DRAINED = 8 * 1024 * 1024
_WEBHOOKS = "/v1/webhooks/"
_WEBHOOK_LIMIT = 256 * 1024  # a provider repeats what we refuse, and in the end sends nothing more


class BodyGuard:
    """Reads the body before the application does: a limit holds however it is sent, and card numbers go no further."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request with its body read; 413 if it is too large, a refusal if it has a card number."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit(scope["path"])
        body = await _read(receive, limit)
        if body is None:
            too_large = Problem(type=ProblemType.BODY_TOO_LARGE, detail=f"A body may have {limit} bytes.")
            await respond(too_large, Request(scope), headers={"Connection": "close"})(scope, receive, send)
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


def _limit(path: str) -> int:
    return _WEBHOOK_LIMIT if path.startswith(_WEBHOOKS) else _MORE.get(path, BODY_LIMIT)


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
