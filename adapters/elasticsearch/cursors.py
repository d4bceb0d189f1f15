"""Where a page ends. The order of the hits does not move, so a cursor is the last hit's place in it.

A hit's place depends on the event and the question alone, not on the events beside it. So every event that is on sale
all the time is on exactly one page, whatever else is published or cancelled between two pages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from domain.money import Currency
from domain.problems import ProblemType, Refused
from domain.search import SearchQuery

_CURRENCY: TypeAdapter[str | None] = TypeAdapter(Currency | None)


class Cursor(NamedTuple):
    """The end of a page.

    Attributes:
        currency: The one in which the first page compared prices, so that all pages do.
        after: The sort values of the last hit.
    """

    currency: str | None
    after: Sequence[Any]


def write(query: SearchQuery, cursor: Cursor) -> str:
    """The cursor as clients get it."""
    parts = [_digest(query), cursor.currency, *cursor.after]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read(query: SearchQuery) -> Cursor | None:
    """The cursor of a question; None for the first page.

    Raises:
        Refused: INVALID_REQUEST: The cursor is not one of this question.
    """
    if query.cursor is None:
        return None
    try:
        text = query.cursor + "=" * (-len(query.cursor) % 4)
        digest, currency, *after = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
        if digest != _digest(query) or len(after) != 3 or not _are_sort_values(after):
            raise ValueError("from another search")
        return Cursor(_CURRENCY.validate_python(currency), after)
    except (ValueError, TypeError, RecursionError, binascii.Error, ValidationError):
        raise bad_cursor() from None


def bad_cursor() -> Refused:
    """The refusal of a cursor that does not belong to its question."""
    return Refused(
        ProblemType.INVALID_REQUEST,
        "The cursor is not from this search: send it with the same parameters as before, or leave it out.",
        errors=[{"field": "query.cursor", "message": "is not from this search"}],
    )


def _digest(query: SearchQuery) -> str:
    """What makes two questions the same; the size of a page may change."""
    return hashlib.sha256(query.model_dump_json(exclude={"cursor", "size"}).encode()).hexdigest()[:16]


def _are_sort_values(values: Sequence[Any]) -> bool:
    first, starts_at, event_id = values
    return isinstance(first, int | float) and isinstance(starts_at, int) and isinstance(event_id, str)
