"""OAuth on the wire: reads forms, and answers errors both as OAuth requires and as problem details."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from authlib.oauth2 import OAuth2Error
from fastapi import Request, Response

from api.http.problems import respond
from api.identity.login import NO_STORE
from api.identity.oauth.server import Answer, OAuthRequest
from domain.problems import Problem, ProblemType, Refused

_TYPES: Final = {401: ProblemType.UNAUTHENTICATED, 403: ProblemType.FORBIDDEN}
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]{0,2000}")
_NONE: Final[Mapping[str, int]] = {}
_DEFAULT_DETAIL: Final = {"invalid_grant": "The code or token is invalid or has expired."}


class BadForm(Exception):
    """The body is not a form that OAuth allows."""


async def form_of(request: Request, *, free: Mapping[str, int] = _NONE) -> dict[str, str]:
    """The body: a form, or JSON as everywhere else here. Unknown fields do no harm (RFC 6749, 3.2).

    Args:
        request: Its body may be read already.
        free: Fields that may hold any characters, with the most characters of each.

    Raises:
        BadForm: A field is repeated, too long, or has characters that OAuth does not allow.
        Refused: UNSUPPORTED_MEDIA_TYPE: The body is of another type. A card number in it is looked for by its type.
    """
    raw = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if raw and kind not in (_FORM, _JSON):
        raise Refused(ProblemType.UNSUPPORTED_MEDIA_TYPE, f"Send the body as `Content-Type: {_FORM}`.")
    try:
        if kind == _JSON:
            pairs = list(orjson.loads(raw).items())
        else:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=40)
    except (ValueError, AttributeError):
        raise BadForm("The body is not a form.") from None
    return _checked(pairs, free)


def query_of(request: Request) -> dict[str, str]:
    """The query string, under the same conditions as a form."""
    return _checked(request.query_params.multi_items(), _NONE)


def _checked(pairs: list[tuple[str, Any]], free: Mapping[str, int]) -> dict[str, str]:
    given = dict(pairs)
    if len(given) < len(pairs):
        raise BadForm("A field must not be repeated.")
    for name, value in given.items():
        if isinstance(value, str) and name in free:
            if len(value) > free[name]:
                raise BadForm(f"The field {name} has at most {free[name]} characters.")
        elif not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
            raise BadForm("Fields are printable ASCII of at most 2,000 characters.")
    return given


def oauth_request(request: Request, given: Mapping[str, str]) -> OAuthRequest:
    """The request as the authorization server reads it, from fields that are already checked."""
    return OAuthRequest(request.method, given, request.headers)


def answered(answer: Answer, request: Request) -> Response:
    """The response for what the protocol answers."""
    headers = {name: value for name, value in answer.headers if name.lower() != "content-type"} | NO_STORE
    if answer.status == 302:
        return Response(status_code=302, headers=headers)
    assert not isinstance(answer.body, str)
    if answer.status == 200:
        return Response(orjson.dumps(answer.body), headers=headers, media_type="application/json")
    return refused(answer.body, request, answer.status, headers)


def failed(error: OAuth2Error, request: Request) -> Response:
    """The response for an error that was raised: to the client's address where that is known to be its own."""
    return answered(Answer(*error(None)), request)


def bad_form(error: BadForm, request: Request) -> Response:
    """The response to a body that cannot be read: 400 `invalid_request`."""
    return refused({"error": "invalid_request", "error_description": str(error)}, request, 400, NO_STORE)


def refused(body: Mapping[str, Any], request: Request, status: int, headers: Mapping[str, str]) -> Response:
    """A problem that has RFC 6749's `error` and `error_description` too."""
    detail = body.get("error_description") or _DEFAULT_DETAIL.get(body["error"], "The request is refused.")
    problem = Problem(type=_TYPES.get(status, ProblemType.INVALID_REQUEST), detail=detail, members=dict(body))
    return respond(problem, request, status=status, headers=headers)
