"""Reads a body as JSON in time that grows with its size alone, however deep it is."""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import Any, Final

import orjson


class _NoValue(Enum):
    NOT_JSON = auto()
    TOO_DEEP = auto()


NOT_JSON: Final = _NoValue.NOT_JSON
"""The body holds something else."""

TOO_DEEP: Final = _NoValue.TOO_DEEP
"""The body may be JSON, but is deeper than any parser goes."""


def parsed(body: bytes) -> Any:
    """JSON as the framework reads it, which also takes UTF-16, UTF-32 and a byte order mark.

    Returns:
        The value, or `NOT_JSON`, or `TOO_DEEP`.
    """
    if not body:
        return NOT_JSON
    try:
        return orjson.loads(body)
    except ValueError:
        pass
    try:
        return json.loads(body)
    except ValueError:
        return NOT_JSON
    except RecursionError:
        return TOO_DEEP
