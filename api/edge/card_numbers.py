"""Refuses every request that may contain a payment card number, before any other code reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.datastructures import Headers
from starlette.types import Scope

from api.edge.json_body import NOT_JSON
from domain.card_numbers import has_card_number
from domain.problems import Problem, ProblemType

_HEADERS = ("idempotency-key", "x-request-id")
_LONGEST_HEADER = 255  # a longer one is neither logged nor stored
_SHORTEST = 13  # digits of a card's number
_RUN = re.compile(rb"\d(?:[^0-9A-Za-z]{0,8}\d){12,}+")
"""Cheap: most bodies have no thirteen digits in a row."""

_ODD = re.compile(rb"[\\%\x00\x80-\xff]")
"""Escapes, other alphabets' digits and other encodings are checked closely."""

_Trail = tuple["_Trail", str | int] | None
"""Where a value stands: the place of what holds it, and its name there. A path is made of it only for a refusal."""


def find_card_number(scope: Scope, body: bytes, value: Any) -> str | None:
    """The field of a request that carries one, as it is named in problems; None where there is none.

    Args:
        scope: Its path, query and headers are checked, too.
        body: As it was sent.
        value: What the body holds, if it is JSON.
    """
    for field, text in _around(scope):
        if has_card_number(text):
            return field
    if not (_ODD.search(body) or _RUN.search(body)):
        return None
    return _in_form(scope, body) or (_in_text(body) if value is NOT_JSON else _in_json(value))


def refusal(field: str) -> Problem:
    """The answer, which does not repeat the number."""
    error = {"field": field, "message": "looks like a payment card number; never send one to this API"}
    return Problem(
        type=ProblemType.INVALID_REQUEST,
        detail="Some fields are not valid: see `errors`.",
        members={"errors": [error]},
    )


def _around(scope: Scope) -> Iterator[tuple[str, str]]:
    yield "path", scope["path"]
    headers = Headers(scope=scope)
    for name in _HEADERS:
        if len(headers.get(name, "")) <= _LONGEST_HEADER:
            yield name.title(), headers.get(name, "")
    query = scope["query_string"].decode("latin-1")
    yield from _pairs("query", query)
    yield "query", unquote(query)


def _pairs(place: str, encoded: str) -> Iterator[tuple[str, str]]:
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        yield place, name
        yield f"{place}.{name}", value


def _in_form(scope: Scope, body: bytes) -> str | None:
    """Also where the body happens to be JSON: in quotes it is."""
    if "form" not in Headers(scope=scope).get("content-type", "").lower():
        return None
    text = body.decode("utf-8", "replace")
    return next((field for field, each in _pairs("body", text) if has_card_number(each)), None)


def _in_text(body: bytes) -> str | None:
    return "body" if has_card_number(body.decode("utf-8", "replace")) else None


def _in_json(value: Any) -> str | None:
    """The field of a text, a number or a name that is one; a name counts as its parent's."""
    waiting: list[tuple[Any, _Trail]] = [(value, None)]
    while waiting:
        outer, trail = waiting.pop()
        if isinstance(outer, dict):
            if any(map(_is_one, outer)):
                return _path(trail)
            waiting.extend((inner, (trail, name)) for name, inner in outer.items())
        elif isinstance(outer, list):
            waiting.extend((inner, (trail, number)) for number, inner in enumerate(outer))
        elif _is_one(outer):
            return _path(trail)
    return None


def _is_one(value: Any) -> bool:
    if not isinstance(value, str | int):
        return False
    text = str(value)
    return len(text) >= _SHORTEST and has_card_number(text)


def _path(trail: _Trail) -> str:
    names: list[str] = []
    while trail is not None:
        trail, name = trail
        names.append(str(name))
    return ".".join(["body", *reversed(names)])
