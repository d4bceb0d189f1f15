"""Who sends a request, by its access token: for limits, before any route checks what the caller may do."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from api.auth.bearer import bearer_token
from api.auth.tokens import Principal
from domain.problems import Refused

_CALLER: Final = "seatwright.caller"


def caller_of(scope: Scope) -> Principal | None:
    """The caller, read once for each request; None without a valid token, which a route refuses if it needs one."""
    if _CALLER not in scope:
        scope[_CALLER] = _read(scope)
    caller: Principal | None = scope[_CALLER]
    return caller


def _read(scope: Scope) -> Principal | None:
    token = bearer_token(Headers(scope=scope))
    if not token:
        return None
    try:
        caller: Principal = scope["app"].state.tokens.read(token)
    except Refused:
        return None
    return caller
