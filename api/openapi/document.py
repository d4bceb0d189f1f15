"""Builds the document: what FastAPI knows of the routes, with our problems, headers, links and descriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.http.preconditions import tag_of
from api.http.problem_schemas import reference
from api.http.problems import MEDIA_TYPE, SCHEMAS, documented
from api.openapi.descriptions import describe_parameters, describe_schemas
from api.openapi.headers import HEADERS, describe_headers
from domain.domain_events import DOMAIN_EVENTS
from domain.problems import ProblemType

DESCRIPTION: Final = """\
Seatwright sells seats: never one twice.

Errors are problem details (RFC 9457): switch on the last part of `type`. Amounts of money are integers in minor units.
Send an `Idempotency-Key` with each POST that takes one: the same key has the same outcome, however often it is sent.
Lists come in pages: send `next_cursor` as `cursor` to read the next one. Unknown query parameters are refused (422).
HEAD works on each route that has GET.
"""
TAGS: Final = [
    {"name": "identity", "description": "Accounts, log-in, roles."},
    {"name": "catalogue", "description": "Events: draft, publish, cancel."},
    {"name": "search", "description": "Find events."},
    {"name": "reservation", "description": "Read which places of an event are free."},
    {"name": "bookings", "description": "Hold, pay, cancel, refund."},
    {"name": "payments", "description": "Payment providers and what they take."},
    {"name": "exchanges", "description": "Exchange a ticket's seat."},
    {"name": "support", "description": "Find people, bookings and payments; each call is recorded in the audit log."},
    {"name": "operations", "description": "For support and operators."},
    {"name": "webhooks", "description": "For payment providers."},
    {"name": "health", "description": "For load balancers."},
]


def operation_id(route: APIRoute) -> str:
    """A name for generated clients that says what the call does, such as `publish_event`: the route's own name."""
    return route.name


class Written(NamedTuple):
    """The document as it is sent, with its tag."""

    body: bytes
    tag: str


async def written(app: FastAPI) -> Written:
    """The document, which the first call for it has built: that takes a second, in a thread of its own."""
    building = app.state.description
    if building is None or (building.done() and (building.cancelled() or building.exception())):
        app.state.description = asyncio.create_task(asyncio.to_thread(_write, app))
    found: Written = await asyncio.shield(app.state.description)
    return found


def _write(app: FastAPI) -> Written:
    body = orjson.dumps(app.openapi())
    return Written(body, tag_of(body))


def describe(app: FastAPI) -> None:
    """Make `app.openapi` build our document where FastAPI would describe its own defaults."""
    app.state.description = None

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


_OF_EVENT = ("get_event", "publish_event", "cancel_event", "list_event_seats", "get_event_cancellation")
_OF_BOOKING = (
    "get_booking", "pay_for_booking", "abandon_payment", "cancel_booking", "refund_tickets", "list_refunds",
    "get_booking_timeline",
)  # fmt: skip
_LINKS: Final[Mapping[tuple[str, str], Mapping[str, tuple[str, ...]]]] = {
    ("draft_event", "201"): {"event_id": _OF_EVENT},
    ("publish_event", "200"): {"event_id": _OF_EVENT},
    ("hold_seats", "201"): {"booking_id": _OF_BOOKING},
    ("pay_for_booking", "200"): {"booking_id": _OF_BOOKING},
}
"""Which calls an answer's `id` leads to: OpenAPI's links, for generated clients and for tests that follow them."""

_ANY_PROBLEM: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_STREAM: Final = "text/event-stream"


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= SCHEMAS
    components["headers"] = HEADERS
    for method, operation in _methods(document):
        _add_problems(method, operation)
        _describe_stream(operation)
        describe_headers(method, operation)
        describe_parameters(operation)
    _add_domain_events(schemas)
    describe_schemas(schemas)
    _link({operation["operationId"]: operation for operation in _operations(document)})
    return document


def _add_problems(method: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if "422" in answers and MEDIA_TYPE not in answers["422"].get("content", {}):
        answers |= _problems(ProblemType.INVALID_REQUEST)
    for status, answer in _problems(*_everywhere(method, operation)).items():
        _merge(answers.setdefault(status, answer), answer)
    answers["default"] = {"description": "Any other problem", "content": _ANY_PROBLEM}


def _merge(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add the kinds of `more` to an answer that lists others of the same status."""
    if known is more or MEDIA_TYPE not in known.get("content", {}):
        return
    mine, theirs = known["content"][MEDIA_TYPE], more["content"][MEDIA_TYPE]
    missing = {kind: example for kind, example in theirs["examples"].items() if kind not in mine["examples"]}
    if not missing:
        return
    mine["examples"] |= missing
    mine["schema"] = reference([ProblemType(kind) for kind in mine["examples"]])
    titles = (f"`{kind}`: {example['value']['title']}" for kind, example in missing.items())
    known["description"] = "; ".join((known["description"], *titles))


def _describe_stream(operation: dict[str, Any]) -> None:
    """OpenAPI 3.1 has no word for the items of a stream: FastAPI's `itemSchema` belongs to 3.2."""
    content = operation["responses"].get("200", {}).get("content", {})
    if _STREAM in content:
        content[_STREAM] = {"schema": {"type": "string", "description": "Server-sent events; `data` is a booking."}}


def _problems(*types: ProblemType) -> dict[str, Any]:
    return {str(status): answer for status, answer in documented(*types).items()}


def _everywhere(method: str, operation: Mapping[str, Any]) -> Iterator[ProblemType]:
    """The problems of what surrounds all routes, so that no route has to list them."""
    yield from (ProblemType.RATE_LIMITED, ProblemType.UNAVAILABLE, ProblemType.INVALID_REQUEST)
    yield ProblemType.HEADERS_TOO_LARGE
    if method != "get":
        yield ProblemType.OUTCOME_UNKNOWN
    if operation.get("security"):
        yield ProblemType.UNAUTHENTICATED
    if "requestBody" in operation:
        yield from (ProblemType.BODY_TOO_LARGE, ProblemType.UNSUPPORTED_MEDIA_TYPE, ProblemType.REQUEST_TIMEOUT)


def _add_domain_events(schemas: dict[str, Any]) -> None:
    """The data of domain events, which a booking's timeline refers to."""
    for model in DOMAIN_EVENTS.values():
        if f"#/components/schemas/{model.__name__}" not in str(schemas):
            continue
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        for name, inner in schema.pop("$defs", {}).items():
            schemas.setdefault(name, inner)
        del schema["properties"]["type"]
        schemas[model.__name__] = schema


def _link(operations: Mapping[str, dict[str, Any]]) -> None:
    for (source, status), parameters in _LINKS.items():
        if source not in operations:
            continue
        links = operations[source]["responses"][status].setdefault("links", {})
        for parameter, names in parameters.items():
            for name in operations.keys() & set(names):
                links[name] = {"operationId": name, "parameters": {parameter: "$response.body#/id"}}


def _methods(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in document["paths"].values():
        yield from path.items()


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for _, operation in _methods(document))
