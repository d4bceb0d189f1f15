"""Which pages of other origins may call (CORS); a refused preflight is answered with problem details."""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from api.http.problems import respond
from domain.problems import Problem, ProblemType

_ASKED = {
    "origin": "Origin",
    "method": "Access-Control-Request-Method",
    "headers": "Access-Control-Request-Headers",
    "private-network": "Access-Control-Request-Private-Network",
}


class Cors(CORSMiddleware):
    """Starlette's rules; its refusal is plain text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or serve a request and say who may read its answer."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if scope.get("method") != "OPTIONS" or not {"origin", "access-control-request-method"} <= set(headers):
            await super().__call__(scope, receive, send)
            return
        response = self.preflight_response(headers)
        if response.status_code != 200:
            problem = _refusal(bytes(response.body).decode())
            allowed = {name: text for name, text in response.headers.items() if name not in _OF_THE_TEXT}
            response = respond(problem, Request(scope), status=response.status_code, headers=allowed)
        await response(scope, receive, send)


_OF_THE_TEXT = ("content-type", "content-length")


def _refusal(text: str) -> Problem:
    """The problem that says what Starlette's text does: "Disallowed CORS origin, method"."""
    words = text.replace(",", "").split()
    errors = [{"field": _ASKED[word], "message": "is not allowed"} for word in words if word in _ASKED]
    detail = "Pages of this origin may not make this call from a browser: see `errors`."
    return Problem(type=ProblemType.INVALID_REQUEST, detail=detail, members={"errors": errors})
