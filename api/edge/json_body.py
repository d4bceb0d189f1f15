"""Reads a body as JSON in time that grows with its size alone, however deep it is."""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import Any, Final

import orjson


class _Missing(Enum):
    NOT_JSON = auto()


NOT_JSON: Final = _Missing.NOT_JSON
"""What a body holds that is no JSON, or deeper than any parser goes."""


def parsed(body: bytes) -> Any:
    """JSON as the framework reads it, which also takes UTF-16, UTF-32 and a byte order mark; else `NOT_JSON`."""
    if not body:
        return NOT_JSON
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return NOT_JSON
