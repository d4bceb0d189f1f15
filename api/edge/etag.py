"""Conditional reads (RFC 9110, section 13): a client that has the current answer already gets 304."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.preconditions import tag_of

_READS: Final = ("/v1/", "/.well-known/", "/openapi.json")
_TAG: Final = re.compile(r'"[^"]*"')
_KEPT: Final = {b"cache-control", b"content-location", b"date", b"etag", b"expires", b"vary"}


class Conditional:
    """Gives each whole JSON answer to a GET an ETag, and honours `If-None-Match`.

    The tag is that of the answer's bytes, unless the route has set one.

    It saves the transfer, not the work: an answer's bytes are known only once it is made.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. Answers that arrive in several parts, and those without JSON, pass through unchanged."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(_READS):
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def tagged(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _may_be_tagged(message):
                start = message
                return
            if start is not None:
                begun, start = start, None
                if not message.get("more_body"):
                    message = _answer(begun, message, Headers(scope=scope).getlist("if-none-match"))
                await send(begun)
            await send(message)

        await self._app(scope, receive, tagged)


def _may_be_tagged(start: Message) -> bool:
    return start["status"] == 200 and Headers(raw=start["headers"]).get("content-type", "").startswith("application/j")


def _answer(start: Message, body: Message, known: list[str]) -> Message:
    """Tag the answer, and take its body away where the client has it; the message that ends the answer."""
    headers = MutableHeaders(raw=start["headers"])
    # A large answer comes with its tag, made in a thread.
    tag = headers.get("etag") or tag_of(body.get("body", b""))
    headers["ETag"] = tag
    headers.setdefault("Cache-Control", "private, no-cache")
    start["headers"] = headers.raw
    if not _is_known(tag, known):
        return body
    start["status"] = 304
    start["headers"] = [(name, value) for name, value in headers.raw if name in _KEPT]
    return {**body, "body": b""}


def _is_known(tag: str, known: list[str]) -> bool:
    """Compared weakly, as RFC 9110 requires for reads."""
    return any(each.strip() == "*" or tag in _TAG.findall(each) for each in known)
