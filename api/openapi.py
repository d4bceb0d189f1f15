"""The API's description: OpenAPI with our problem types, and a page to read and try it without the internet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.auth.guards import PUBLIC
from api.http.problems import MEDIA_TYPE, PROBLEM_SCHEMA, documented
from api.http.schemas import ProblemBody
from domain.problems import ProblemType

DESCRIPTION = """\
Seatwright sells seats: never one twice.

Errors are problem details (RFC 9457): switch on the last part of `type`. Amounts of money are integers in minor units.
Send an `Idempotency-Key` with a booking and a payment: the same key has the same outcome, however often it is sent.
"""
TAGS = [
    {"name": "identity", "description": "Accounts, log-in, roles."},
    {"name": "catalogue", "description": "Events: draft, publish, cancel."},
    {"name": "search", "description": "Find events."},
    {"name": "reservation", "description": "Read which places of an event are free."},
    {"name": "bookings", "description": "Hold, pay, cancel, refund."},
    {"name": "payments", "description": "Payment providers and what they take."},
    {"name": "exchanges", "description": "Exchange a ticket's seat."},
    {"name": "support", "description": "Find people, bookings and payments; each call is recorded in the audit log."},
    {"name": "operations", "description": "For support and operators."},
    {"name": "health", "description": "For load balancers."},
]

router = APIRouter(include_in_schema=False, dependencies=[PUBLIC])
_PAGES = Path(__file__).parent / "http" / "pages"
_CSP = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"}


@router.get("/docs")
def page() -> Response:
    """The page that shows the reference of all calls."""
    return _file("docs.html", "text/html")


@router.get("/docs/docs.js")
def script() -> Response:
    """The page's script, served from here so that it works without the internet."""
    return _file("docs.js", "text/javascript")


@router.get("/docs/docs.css")
def style() -> Response:
    """The page's style sheet, served from here for the same reason."""
    return _file("docs.css", "text/css")


def _file(name: str, media_type: str) -> Response:
    return Response((_PAGES / name).read_bytes(), media_type=media_type, headers=_CSP)


def operation_id(route: APIRoute) -> str:
    """A name for generated clients, such as `catalogue_publish`."""
    return "_".join([*map(str, route.tags[:1]), route.name])


def describe(app: FastAPI) -> None:
    """Make `/openapi.json` describe our problems where FastAPI would describe its own defaults."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


_OF_EVENT = ("catalogue_look", "catalogue_publish", "catalogue_cancel", "reservation_seats", "reservation_cancellation")
_OF_BOOKING = (
    "bookings_look", "bookings_pay", "bookings_abandon", "bookings_cancel", "bookings_refund", "bookings_refunds",
    "bookings_timeline",
)  # fmt: skip
_LINKS: Mapping[tuple[str, str], Mapping[str, tuple[str, ...]]] = {
    ("catalogue_draft", "201"): {"event_id": _OF_EVENT},
    ("catalogue_publish", "200"): {"event_id": _OF_EVENT},
    ("bookings_hold", "201"): {"booking_id": _OF_BOOKING},
    ("bookings_pay", "200"): {"booking_id": _OF_BOOKING},
}
"""Which calls an answer's `id` leads to: OpenAPI's links, for generated clients and for tests that follow them."""

_PROBLEM_CONTENT = {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}


def _with_problems(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS)
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = ProblemBody.model_json_schema()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operation in _operations(schema):
        answers = operation["responses"]
        if "422" in answers and MEDIA_TYPE not in answers["422"].get("content", {}):
            answers |= _problems(ProblemType.INVALID_REQUEST)
        for status, answer in _problems(*_everywhere(operation)).items():
            answers.setdefault(status, answer)
        answers["default"] = {"description": "Any other problem", "content": _PROBLEM_CONTENT}
    _link({operation["operationId"]: operation for operation in _operations(schema)})
    return schema


def _problems(*types: ProblemType) -> dict[str, Any]:
    return {str(status): answer for status, answer in documented(*types).items()}


def _everywhere(operation: Mapping[str, Any]) -> Iterator[ProblemType]:
    """The problems of the middleware around all routes, so that no route has to list them."""
    yield from (ProblemType.RATE_LIMITED, ProblemType.UNAVAILABLE)
    if operation.get("security"):
        yield ProblemType.UNAUTHENTICATED
    if "requestBody" in operation:
        yield from (ProblemType.BODY_TOO_LARGE, ProblemType.UNSUPPORTED_MEDIA_TYPE)


def _link(operations: Mapping[str, dict[str, Any]]) -> None:
    for (source, status), parameters in _LINKS.items():
        if source not in operations:
            continue
        links = operations[source]["responses"][status].setdefault("links", {})
        for parameter, names in parameters.items():
            for name in operations.keys() & set(names):
                links[name] = {"operationId": name, "parameters": {parameter: "$response.body#/id"}}


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in schema["paths"].values():
        yield from path.values()
