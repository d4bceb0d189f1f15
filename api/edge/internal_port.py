"""Keeps internal routes off the public port: there they are answered as routes that do not exist."""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.problems import respond
from domain.problems import Problem, ProblemType

_INTERNAL: Final = "/internal"
_NO_ROUTE: Final = Problem(type=ProblemType.NOT_FOUND, detail="Not Found")  # the framework's own words


class InternalPort:
    """Lets requests to internal routes through only where they have come in at the internal port."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; 404 for an internal route at any other port."""
        if scope["type"] == "http" and _is_internal(scope["path"]) and _port_of(scope) != self._port:
            await respond(_NO_ROUTE, Request(scope))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_internal(path: str) -> bool:
    return path.lstrip("/").split("/", 1)[0].casefold() == _INTERNAL[1:]


def _port_of(scope: Scope) -> int | None:
    """The port on which the connection was accepted; no header can change it."""
    server = scope.get("server")
    return server[1] if server else None
