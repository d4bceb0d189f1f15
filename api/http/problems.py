"""The one place where errors become problem details (RFC 9457), so that every refusal has the same form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ExceptionHandler
from temporalio.service import RPCError, RPCStatusCode

from api.http.problem_schemas import reference, schemas
from domain.card_numbers import has_card_number
from domain.problems import Problem, ProblemType, Refused

TYPE_BASE = "https://seatwright.dev/problems/"
MEDIA_TYPE = "application/problem+json"

_RETRY_AFTER = {"Retry-After": "1"}
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_MOST_ERRORS = 20
_LONGEST_NAME = 100
_LONGEST_INSTANCE = 255  # characters: each refusal scans the path on the event loop
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class _Kind(NamedTuple):
    status: HTTPStatus
    title: str
    headers: Mapping[str, str] = {}


_T, _H = ProblemType, HTTPStatus
KINDS: Mapping[ProblemType, _Kind] = {
    _T.INVALID_REQUEST: _Kind(_H.UNPROCESSABLE_ENTITY, "The request is not valid"),
    _T.BODY_TOO_LARGE: _Kind(_H.REQUEST_ENTITY_TOO_LARGE, "The request's body is too large"),
    _T.HEADERS_TOO_LARGE: _Kind(_H.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's headers are too large"),
    _T.REQUEST_TIMEOUT: _Kind(_H.REQUEST_TIMEOUT, "The request took too long to arrive"),
    _T.UNSUPPORTED_MEDIA_TYPE: _Kind(_H.UNSUPPORTED_MEDIA_TYPE, "This call does not take a body of this type"),
    _T.RATE_LIMITED: _Kind(_H.TOO_MANY_REQUESTS, "Too many requests"),
    _T.TOO_MANY_HOLDS: _Kind(_H.TOO_MANY_REQUESTS, "Too many places held or given up without paying"),
    _T.UNAUTHENTICATED: _Kind(_H.UNAUTHORIZED, "Log in first", {"WWW-Authenticate": "Bearer"}),
    _T.FORBIDDEN: _Kind(_H.FORBIDDEN, "Not allowed"),
    _T.NOT_FOUND: _Kind(_H.NOT_FOUND, "Not found"),
    _T.METHOD_NOT_ALLOWED: _Kind(_H.METHOD_NOT_ALLOWED, "Method not allowed"),
    _T.SECOND_FACTOR_REQUIRED: _Kind(
        _H.UNAUTHORIZED, "A second-factor code is required", {"WWW-Authenticate": "Bearer"}
    ),
    _T.CODE_NOT_VALID: _Kind(_H.UNPROCESSABLE_ENTITY, "The code is not valid"),
    _T.TOKEN_NOT_VALID: _Kind(_H.UNPROCESSABLE_ENTITY, "The token is invalid or has expired"),
    _T.PROOF_NEEDED: _Kind(_H.CONFLICT, "Log in to the existing account first"),
    _T.PRECONDITION_FAILED: _Kind(_H.PRECONDITION_FAILED, "It has changed since you read it"),
    _T.WRONG_STATE: _Kind(_H.CONFLICT, "Not possible in the current state"),
    _T.EVENT_NOT_ON_SALE: _Kind(_H.CONFLICT, "The event is not on sale"),
    _T.UNKNOWN_SEATS: _Kind(_H.UNPROCESSABLE_ENTITY, "The event has no such seats"),
    _T.SEATS_UNAVAILABLE: _Kind(_H.CONFLICT, "Seats are not available"),
    _T.IDEMPOTENCY_KEY_REUSED: _Kind(_H.UNPROCESSABLE_ENTITY, "The idempotency key belongs to another request"),
    _T.UNKNOWN_PROVIDER: _Kind(_H.UNPROCESSABLE_ENTITY, "Unknown payment provider"),
    _T.AMOUNT_NOT_PAYABLE: _Kind(_H.UNPROCESSABLE_ENTITY, "No payment of this amount is possible"),
    _T.PAYMENT_DECLINED: _Kind(_H.PAYMENT_REQUIRED, "The payment was declined"),
    _T.PAYMENT_IN_PROGRESS: _Kind(_H.CONFLICT, "Another payment is in progress"),
    _T.PAYMENT_TOO_LATE: _Kind(_H.CONFLICT, "Too late to pay"),
    _T.PAYMENT_REJECTED: _Kind(_H.UNPROCESSABLE_ENTITY, "The payment provider rejected the request"),
    _T.BOOKING_FAILED: _Kind(_H.CONFLICT, "The booking failed"),
    _T.INVALID_SIGNATURE: _Kind(_H.BAD_REQUEST, "The message is not signed by the provider"),
    _T.REFUND_REQUIRED: _Kind(_H.CONFLICT, "Already paid: request a refund"),
    _T.REFUND_NOT_ALLOWED: _Kind(_H.CONFLICT, "The event's policy does not allow this refund"),
    _T.REFUND_IN_PROGRESS: _Kind(_H.CONFLICT, "Another refund is in progress"),
    _T.EXCHANGE_NOT_ALLOWED: _Kind(_H.CONFLICT, "This exchange is not allowed"),
    _T.EXCHANGE_FAILED: _Kind(_H.CONFLICT, "The exchange failed"),
    _T.EXCHANGE_IN_PROGRESS: _Kind(_H.CONFLICT, "A seat of this booking is being exchanged"),
    _T.UNKNOWN_TICKETS: _Kind(_H.UNPROCESSABLE_ENTITY, "The booking has no such tickets"),
    _T.OUTCOME_UNKNOWN: _Kind(_H.SERVICE_UNAVAILABLE, "The outcome is not known yet", _RETRY_AFTER),
    _T.UNAVAILABLE: _Kind(_H.SERVICE_UNAVAILABLE, "Not available at the moment", _RETRY_AFTER),
    _T.INTERNAL: _Kind(_H.INTERNAL_SERVER_ERROR, "Internal error"),
}

SCHEMAS = schemas(TYPE_BASE, {type_: kind.title for type_, kind in KINDS.items()})
"""The schemas of all problems, by their names."""

UNAVAILABLE = Problem(type=_T.UNAVAILABLE, detail="A part of the service cannot be reached. Try again in a moment.")
INTERNAL = Problem(type=_T.INTERNAL, detail="Something went wrong on our side. Please report the request_id.")

_BY_STATUS = {
    400: _T.INVALID_REQUEST,
    401: _T.UNAUTHENTICATED,
    403: _T.FORBIDDEN,
    404: _T.NOT_FOUND,
    405: _T.METHOD_NOT_ALLOWED,
    408: _T.REQUEST_TIMEOUT,
    413: _T.BODY_TOO_LARGE,
    415: _T.UNSUPPORTED_MEDIA_TYPE,
    422: _T.INVALID_REQUEST,
    431: _T.HEADERS_TOO_LARGE,
    503: _T.UNAVAILABLE,
}


def respond(
    problem: Problem, request: Request, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The response that carries a problem; `status` and `headers` replace or add to what its type says."""
    kind = KINDS[problem.type]
    code = status or kind.status
    return Response(
        _body(problem, code, _instance(request), request.scope.get("request_id")),
        code,
        {**kind.headers, **_retry_after(problem), **(headers or {}), **_idempotency_key(request)},
        media_type=MEDIA_TYPE,
    )


def raw_response(problem: Problem, request_id: str, *, status: HTTPStatus | None = None) -> bytes:
    """A whole HTTP response that ends its connection, for requests that do not get as far as the application."""
    kind = KINDS[problem.type]
    code = status or kind.status
    body = _body(problem, code, None, request_id)
    headers = {
        **kind.headers,
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": request_id,
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {int(code)} {code.phrase}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _body(problem: Problem, status: int, instance: str | None, request_id: str | None) -> bytes:
    body = {
        "type": TYPE_BASE + problem.type,
        "title": KINDS[problem.type].title,
        "status": int(status),
        "detail": problem.detail,
        "instance": instance,
        "request_id": request_id,
    }
    return orjson.dumps(dict(problem.members) | body, default=str)


def _retry_after(problem: Problem) -> dict[str, str]:
    seconds = problem.members.get("retry_after")
    return {"Retry-After": str(seconds)} if seconds else {}


def _instance(request: Request) -> str | None:
    """The path, unless it may contain a card number, which is never repeated; a long one is not even scanned."""
    path: str = request.scope["path"]
    return None if len(path) > _LONGEST_INSTANCE or has_card_number(path) else _encodable(path)


def _idempotency_key(request: Request) -> dict[str, str]:
    """The key with which the call can be repeated, which matters most where its outcome is unknown."""
    made = getattr(request.state, "idempotency_key", None)
    given = request.headers.get("idempotency-key", "")  # where the call was refused before its route
    key = made or (given if _KEY.fullmatch(given) and not has_card_number(given) else None)
    return {"Idempotency-Key": key} if key else {}


def documented(*types: ProblemType) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for the problems that a route can answer with."""
    by_status: dict[int | str, list[ProblemType]] = {}
    for type_ in types:
        by_status.setdefault(int(KINDS[type_].status), []).append(type_)
    return {status: _documentation(kinds) for status, kinds in by_status.items()}


def install(app: FastAPI) -> None:
    """Answer every known error with its problem; the request middleware answers the unknown ones."""
    handlers: dict[type[Exception], ExceptionHandler] = {
        Refused: _refused,
        RequestValidationError: _invalid,
        HTTPException: _http,
        DBAPIError: _database,
        RPCError: _temporal,
        RuntimeError: _runtime,
        **dict.fromkeys(_CONNECTION_ERRORS, _unavailable),
    }
    for error, handler in handlers.items():
        app.add_exception_handler(error, handler)


_CONNECTION_ERRORS: Iterable[type[Exception]] = (
    PoolTimeoutError,
    RedisConnectionError,
    RedisTimeoutError,
    OSError,  # and so TimeoutError and ConnectionError
)

_HUNG_UP = (
    "Failed client connect",  # all that temporalio raises when its first connection cannot be made
    "unable to perform operation on <TCPTransport closed=True",  # uvloop: Redis closed it in the handshake
)

_MOMENTARY = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.ABORTED,
}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return respond(error.problem, request)


async def _unavailable(request: Request, error: Exception) -> Response:
    structlog.get_logger().warning("unavailable", error=type(error).__name__)
    return respond(UNAVAILABLE, request)


async def _database(request: Request, error: Exception) -> Response:
    assert isinstance(error, DBAPIError)
    if error.connection_invalidated or _is_momentary(error):
        return await _unavailable(request, error.orig or error)
    raise error


def _is_momentary(error: DBAPIError) -> bool:
    """No connection, a shutdown, too many clients, a lock or a statement that took too long: all are temporary."""
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:
        return isinstance(error, OperationalError | InterfaceError)
    return sqlstate[:2] in ("08", "40", "53", "55", "57")


async def _temporal(request: Request, error: Exception) -> Response:
    assert isinstance(error, RPCError)
    if error.status in _MOMENTARY:
        return await _unavailable(request, error)
    raise error


async def _runtime(request: Request, error: Exception) -> Response:
    if str(error).startswith(_HUNG_UP):
        return await _unavailable(request, error)
    raise error


async def _http(request: Request, error: Exception) -> Response:
    """What the framework refuses: an unknown route, another method, a body that cannot be read."""
    assert isinstance(error, HTTPException)
    type_ = _BY_STATUS.get(error.status_code, _T.INTERNAL if error.status_code >= 500 else _T.INVALID_REQUEST)
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return respond(Problem(type=type_, detail=error.detail), request, status=error.status_code, headers=headers)


def _allowed(request: Request) -> str:
    """The methods of all routes with this path; the framework names only those of the first."""

    def is_there(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    there = [method for method in _METHODS if is_there(method)]
    return ", ".join([*there, "HEAD"] if "GET" in there else there)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # A default that is made of other fields adds nothing to what is wrong with those.
    errors = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
    if any(each["loc"] == ("body",) for each in errors) and not _is_json(request):
        return respond(_NOT_JSON, request, headers={"Accept": "application/json"})
    broken = any(each["type"] == "json_invalid" for each in errors)
    problem = Problem(
        type=_T.INVALID_REQUEST,
        detail="The body is not valid JSON." if broken else "Some fields are not valid: see `errors`.",
        members={"errors": [_field_error(each) for each in errors[:_MOST_ERRORS]]},
    )
    return respond(problem, request, status=HTTPStatus.BAD_REQUEST if broken else None)


_NOT_JSON = Problem(type=_T.UNSUPPORTED_MEDIA_TYPE, detail="Send the body as `Content-Type: application/json`.")


def _is_json(request: Request) -> bool:
    """Whether the body claims to be JSON; a missing body has no wrong type."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_empty = request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
    return is_empty or kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _field_error(error: Mapping[str, Any]) -> dict[str, str]:
    # The input itself is left out: it may be a password.
    return {"field": _path(error["loc"]), "message": _encodable(error["msg"].removeprefix("Value error, "))}


def _path(location: Sequence[str | int]) -> str:
    """`body.sections.0.price`; names that a client invented are cut short."""
    return ".".join(_encodable(str(part))[:_LONGEST_NAME] for part in location)


def _encodable(text: str) -> str:
    """The text without lone surrogates, which JSON could carry in but not out."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _documentation(kinds: Sequence[ProblemType]) -> dict[str, Any]:
    examples = {kind.value: _example(kind) for kind in kinds}
    return {
        "description": "; ".join(f"`{kind}`: {KINDS[kind].title}" for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": reference(kinds), "examples": examples}},
    }


def _example(kind: ProblemType) -> dict[str, Any]:
    status, title, _ = KINDS[kind]
    problem = {"type": TYPE_BASE + kind, "title": title, "status": int(status), "detail": f"{title}."}
    return {"value": problem | {"instance": "/v1/…", "request_id": "01a2077b-abd2-752f-b932-ac8d9ca64bd5"}}
