"""Refuses query parameters that a call does not have: a client that sends one expects something of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, get_args, get_origin

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel

_MOST_ERRORS: Final = 20
_UNKNOWN: Final = "is not a parameter of this call"
_REPEATED: Final = "must be given once"


async def _any_query() -> None:
    """Accept every query parameter."""


ANY_QUERY = Depends(_any_query)
"""Declares that other systems call a route with parameters of their own, which it does not read or checks itself.

OAuth requires it (RFC 6749, 3.1 and 4.1.2), and payment providers add theirs to the addresses that they return to.
"""


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise RequestValidationError for a parameter that the route does not have, or that has two values."""
    if not request.scope["query_string"]:
        return
    known = _parameters(request.scope["route"])
    if known is None:
        return
    given = request.query_params.multi_items()
    errors = list(islice(_errors(known, given), _MOST_ERRORS))
    if errors:
        raise RequestValidationError(errors)


def _errors(known: Mapping[str, bool], given: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for name, _ in given:
        if name not in known:
            yield {"loc": ("query", name), "msg": _UNKNOWN, "type": "extra_forbidden"}
        elif name in seen and not known[name]:
            yield {"loc": ("query", name), "msg": _REPEATED, "type": "repeated"}
        seen.add(name)


def _parameters(route: APIRoute) -> Mapping[str, bool] | None:
    """The parameters of a route, and whether each may have several values; None where every parameter is accepted."""
    if _any_query in set(_calls(route.dependant)):
        return None
    return dict(_fields(route.dependant))


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    for needed in dependant.dependencies:
        yield needed.call
        yield from _calls(needed)


def _fields(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for name, inner in annotation.model_fields.items():
                yield inner.alias or name, _is_list(inner.annotation)
        else:
            yield field.alias, _is_list(annotation)
    for needed in dependant.dependencies:
        yield from _fields(needed)


def _is_list(annotation: Any) -> bool:
    """Whether a parameter of this type takes several values."""
    kinds = (list, set, frozenset, tuple)
    return any(get_origin(each) in kinds or each in kinds for each in (annotation, *get_args(annotation)))
