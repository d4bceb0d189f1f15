"""The access token of a request, read in one way for the limits before a route and for the route itself."""

from __future__ import annotations

from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers


def bearer_token(headers: Headers) -> str:
    """The token of `Authorization: Bearer`, as the routes' `HTTPBearer` finds it; empty if there is none."""
    scheme, token = get_authorization_scheme_param(headers.get("authorization"))
    return token if scheme.lower() == "bearer" else ""
