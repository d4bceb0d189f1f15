"""The API's own description: OpenAPI with our problems in it, and a page to read and try it without the internet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.problems import MEDIA_TYPE, PROBLEM_SCHEMA
from api.schemas import ProblemBody
from api.security import PUBLIC

DESCRIPTION = """\
Seatwright sells seats: never one twice.

Errors are problem details (RFC 9457): switch on the last part of `type`. Money is in integer minor units.
Send an `Idempotency-Key` with a booking and a payment: the same key brings the same outcome, however often it is sent.
"""
TAGS = [
    {"name": "identity", "description": "Accounts, log-in, roles."},
    {"name": "catalogue", "description": "Events: draft, publish, cancel."},
    {"name": "search", "description": "Find events."},
    {"name": "reservation", "description": "What is left of an event."},
    {"name": "bookings", "description": "Hold, pay, cancel."},
    {"name": "health", "description": "For load balancers."},
]

router = APIRouter(include_in_schema=False, dependencies=[PUBLIC])
_PAGES = Path(__file__).parent / "pages"
_CSP = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"}


@router.get("/docs")
def page() -> Response:
    return _file("docs.html", "text/html")


@router.get("/docs/docs.js")
def script() -> Response:
    return _file("docs.js", "text/javascript")


@router.get("/docs/docs.css")
def style() -> Response:
    return _file("docs.css", "text/css")


def _file(name: str, media_type: str) -> Response:
    return Response((_PAGES / name).read_bytes(), media_type=media_type, headers=_CSP)


def operation_id(route: APIRoute) -> str:
    """A name fit for generated clients, such as `catalogue_publish`."""
    return "_".join([*map(str, route.tags[:1]), route.name])


def describe(app: FastAPI) -> None:
    """Make `/openapi.json` say what we do where FastAPI would describe its own defaults."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


_PROBLEM_CONTENT = {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}


def _with_problems(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS)
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = ProblemBody.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operation in _operations(schema):
        answers = operation["responses"]
        if "422" in answers:
            answers["422"]["content"] = _PROBLEM_CONTENT
        answers["default"] = {"description": "Any other problem", "content": _PROBLEM_CONTENT}
    return schema


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in schema["paths"].values():
        yield from path.values()
