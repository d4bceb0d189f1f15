"""Refuses every request that may contain a payment card number, before any other code reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson
from starlette.datastructures import Headers
from starlette.types import Scope

from domain.card_numbers import has_card_number
from domain.problems import Problem, ProblemType

_HEADERS = ("idempotency-key", "x-request-id")
_MAYBE = re.compile(rb"(?:\d[^0-9A-Za-z]{0,8}){13}")
"""Cheap: most bodies have no thirteen digits in a row."""

_ODD = re.compile(rb"\\u|[\x00\x80-\xff]")
"""Escapes, other alphabets' digits and other encodings are checked closely."""

_SIGNED = "/v1/webhooks/"  # signed messages of providers are full of ids, and are neither logged nor stored


def find_card_number(scope: Scope, body: bytes) -> str | None:
    """The field of a request that carries one, as it is named in problems; None where there is none."""
    for field, text in _around(scope):
        if has_card_number(text):
            return field
    if str(scope["path"]).startswith(_SIGNED) or not (_MAYBE.search(body) or _ODD.search(body)):
        return None
    return next((field for field, text in _inside(scope, body) if has_card_number(text)), None)


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
        if name in headers:
            yield name.title(), headers[name]
    query = scope["query_string"].decode("latin-1")
    yield from _pairs("query", query)
    yield "query", unquote(query)


def _inside(scope: Scope, body: bytes) -> Iterator[tuple[str, str]]:
    text = body.decode("utf-8", "replace")
    if "form" in Headers(scope=scope).get("content-type", ""):
        yield from _pairs("body", text)  # also where it happens to be JSON: in quotes it is
    try:
        yield from _walk("body", _parsed(body))
    except (ValueError, RecursionError):
        yield "body", text


def _parsed(body: bytes) -> Any:
    """JSON as the framework reads it, which also takes UTF-16, UTF-32 and a byte order mark."""
    try:
        return orjson.loads(body)
    except ValueError:
        return json.loads(body)


def _pairs(place: str, encoded: str) -> Iterator[tuple[str, str]]:
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        yield place, name
        yield f"{place}.{name}", value


def _walk(field: str, value: Any) -> Iterator[tuple[str, str]]:
    """Each text and number, and each name, with the field that it is in; a name counts as its parent's."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield field, name
            yield from _walk(f"{field}.{name}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _walk(f"{field}.{number}", inner)
    elif isinstance(value, str | int):
        yield field, str(value)
