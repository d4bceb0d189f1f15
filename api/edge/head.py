"""HEAD on every readable route (RFC 9110, section 9.3.2): the answer to a GET, without its body."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """Serves HEAD as a GET whose body is not sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. An answer that comes in parts, such as a stream, ends with its headers."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        has_more = asyncio.Event()

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
            elif message.get("more_body"):
                has_more.set()
                await asyncio.Event().wait()  # until it is cancelled: nothing reads what comes
            else:
                await send({"type": "http.response.body", "body": b""})

        # A copy, since the server reads the method of its own scope again when it writes the answer.
        read = {**scope, "method": "GET"}
        try:
            await _until_it_streams(self._app(read, receive, without_body), has_more)
        finally:
            scope.update({name: read[name] for name in ("route",) if name in read})  # for the log
        if has_more.is_set():
            await send({"type": "http.response.body", "body": b""})


async def _until_it_streams(serving: Awaitable[None], has_more: asyncio.Event) -> None:
    """Wait for an answer, and cancel it once it has more parts than one."""
    answer, streams = asyncio.ensure_future(serving), asyncio.ensure_future(has_more.wait())
    try:
        await asyncio.wait({answer, streams}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            answer.result()
    finally:
        for task in (answer, streams):
            task.cancel()
        await asyncio.gather(answer, streams, return_exceptions=True)
