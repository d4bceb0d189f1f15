"""How large a request may be, by its route and its caller, before anything reads what it says."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from starlette.types import Scope

from api.auth.tokens import Principal
from api.edge.json_body import TOO_DEEP
from domain.identity import Role
from domain.problems import Problem, ProblemType, Refused

_KIB: Final = 1024
TARGET_LIMIT: Final = 8 * _KIB
"""Bytes of the address, as it is sent."""

UNCOUNTED_TARGET_LIMIT: Final = 1 * _KIB
"""The same for calls that no rate limit counts: to search an address for card numbers takes its time."""

FIELDS_LIMIT: Final = 100
"""Parameters of a query, and fields of a form."""


SIGNED: Final = "/v1/webhooks/"
"""Bodies of webhooks are not searched for card numbers: they are full of ids, and are neither logged nor stored."""

_HEALTH: Final = frozenset({"/livez", "/readyz"})


class Bounds(NamedTuple):
    """Limits of a body.

    Attributes:
        size: Bytes.
        depth: Levels of arrays and objects in one another.
        items: Values, those that hold others included.
    """

    size: int
    depth: int = 16
    items: int = 200


_NO_BODY: Final = Bounds(1 * _KIB)
_WITHOUT_LOG_IN: Final = Bounds(16 * _KIB)
_LOGGED_IN: Final = Bounds(64 * _KIB, items=2000)
_HOLD: Final = Bounds(32 * _KIB)  # fifty seats with long names in JSON's escapes
_WEBHOOK: Final = Bounds(512 * _KIB)
_CODEC: Final = Bounds(1024 * _KIB, items=25_000)  # a page of a history
_STAFF: Final = frozenset({Role.SUPPORT, Role.OPERATOR})


def is_counted(scope: Scope) -> bool:
    """Whether rate limits count a call of the public port."""
    path = scope["path"]
    return not (path in _HEALTH or path.startswith(SIGNED) or scope["method"] == "OPTIONS")


def bounds_of(scope: Scope, caller: Principal | None) -> Bounds:
    """The limits of a request's body. Only callers who are logged in may send much."""
    path = scope["path"]
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return _NO_BODY
    if path.startswith(SIGNED):
        return _WEBHOOK
    if caller is None:
        return _WITHOUT_LOG_IN
    if path == "/v1/codec/decode" and caller.roles & _STAFF:
        return _CODEC
    return _HOLD if path == "/v1/bookings" else _LOGGED_IN


def body_too_large(bounds: Bounds, caller: Principal | None) -> Refused:
    """The answer to a body that has too many bytes."""
    more = "" if caller else " without a log-in"
    return Refused(ProblemType.BODY_TOO_LARGE, f"The body of this call may have at most {bounds.size} bytes{more}.")


def target_refused(scope: Scope) -> Problem | None:
    """The answer to an address that is too long, or has too many parameters."""
    query: bytes = scope["query_string"]
    limit = TARGET_LIMIT if is_counted(scope) else UNCOUNTED_TARGET_LIMIT
    if len(scope.get("raw_path") or scope["path"]) + len(query) > limit:
        return _refused("path", f"has more than {limit} bytes, query included")
    if query.count(b"&") >= FIELDS_LIMIT:
        return _refused("query", f"has more than {FIELDS_LIMIT} parameters")
    return None


def form_refused(body: bytes) -> Problem | None:
    """The answer to a form that has too many fields."""
    return _refused("body", f"has more than {FIELDS_LIMIT} fields") if body.count(b"&") >= FIELDS_LIMIT else None


def json_refused(value: Any, bounds: Bounds) -> Problem | None:
    """The answer to JSON that is too deep or has too many values; it is walked level by level, and no further."""
    level, count = [value], 1
    for _ in range(0 if value is TOO_DEEP else bounds.depth + 1):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inside(outer)]
        count += len(level)
        if count > bounds.items:
            return _refused("body", f"has more than {bounds.items} values")
        if not level:
            return None
    return _refused("body", f"is nested deeper than {bounds.depth} levels")


def _inside(outer: dict[str, Any] | list[Any]) -> Any:
    return outer.values() if isinstance(outer, dict) else outer


def _refused(field: str, message: str) -> Problem:
    return Problem(
        type=ProblemType.INVALID_REQUEST,
        detail="Some fields are not valid: see `errors`.",
        members={"errors": [{"field": field, "message": message}]},
    )
