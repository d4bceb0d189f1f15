"""The headers of answers, described once and named by each answer that has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final


def _header(description: str, example: str, *, kind: str = "string", required: bool = False) -> dict[str, Any]:
    known = {"description": description, "schema": {"type": kind}, "example": example}
    return known | {"required": True} if required else known


HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "X-Request-Id": _header(
        "The request's id: the one that was sent, or a new one. Name it when you report a problem.",
        "01a2077b-abd2-752f-b932-ac8d9ca64bd5",
        required=True,
    ),
    "RateLimit": _header("How many calls of the class are left, and for how many seconds.", '"read";r=599;t=41'),
    "RateLimit-Policy": _header("How many calls of the class are allowed in how many seconds.", '"read";q=600;w=60'),
    "Retry-After": _header("How many seconds to wait before the call is repeated.", "1"),
    "WWW-Authenticate": _header("How to authenticate.", "Bearer"),
    "Allow": _header("With 405: the methods that the path has.", "GET, HEAD"),
    "Idempotency-Key": _header("The key of the call: the one that was sent, or a new one.", "order-4711"),
    "Location": _header("The address of what was created, or of the next page in a redirect.", "/v1/bookings/…"),
    "ETag": _header("The tag of this state, for If-None-Match and, where the call takes it, If-Match.", '"9f2c…"'),
    "Cache-Control": _header("Whether the answer may be stored.", "private, no-cache"),
    "Accept": _header("The media types that the call takes.", "application/json"),
}

_UNLIMITED: Final = frozenset({"health", "webhooks"})
_LOCATED: Final = frozenset({"hold_seats", "draft_event", "create_team", "refund_tickets"})


def describe_headers(method: str, operation: dict[str, Any]) -> None:
    """Name the headers of each answer of a call."""
    for status, answer in operation["responses"].items():
        names = dict.fromkeys(_names(method, operation, status, answer))
        answer.setdefault("headers", {}).update({name: {"$ref": f"#/components/headers/{name}"} for name in names})


def _names(method: str, operation: Mapping[str, Any], status: str, answer: Mapping[str, Any]) -> Iterator[str]:
    sent = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "header"}
    yield "X-Request-Id"
    if _UNLIMITED.isdisjoint(operation["tags"]):
        yield from ("RateLimit", "RateLimit-Policy")
    if "Idempotency-Key" in sent:
        yield "Idempotency-Key"
    yield from _OF_STATUS.get(status, ())
    if status[0] == "2":
        yield from _of_success(method, operation, answer, sent)


_OF_STATUS: Final[Mapping[str, tuple[str, ...]]] = {
    "302": ("Location",),
    "401": ("WWW-Authenticate",),
    "415": ("Accept",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
    "default": ("Allow", "Retry-After"),
}


def _of_success(method: str, operation: Mapping[str, Any], answer: Mapping[str, Any], sent: set[str]) -> Iterator[str]:
    yield "Cache-Control"
    if operation["operationId"] in _LOCATED:
        yield "Location"
    is_json = any(kind.startswith("application/j") for kind in answer.get("content", {}))
    if is_json and (method == "get" or "If-Match" in sent or operation["operationId"] in _LOCATED):
        yield "ETag"
