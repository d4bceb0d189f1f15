"""The page on which a person allows a client something; it asks for the password each time, so it needs no cookie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from authlib.oauth2 import OAuth2Error
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from api.log_in import NO_STORE, prove
from api.oauth_clients import scopes_of
from api.oauth_server import Answer, OAuthServer, serve
from api.oauth_wire import BadForm, answered, bad_form, failed, form_of, oauth_request, query_of
from api.problems import documented
from api.resources import IdentityDatabase
from api.security import PUBLIC
from domain.identity import Scope
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/oauth/authorize", tags=["identity"], dependencies=[PUBLIC])

_OURS: Final = frozenset({"email", "password", "decision"})
_PAGES: Final = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True)
_WORDS: Final[Mapping[Scope, str]] = {
    Scope.OPENID: "know that it is you",
    Scope.PROFILE: "see your name",
    Scope.EMAIL: "see your e-mail address",
    Scope.BOOKINGS_READ: "see your bookings",
    Scope.BOOKINGS_WRITE: "book, pay and cancel in your name",
    Scope.EVENTS_READ: "see your events that are not public",
    Scope.EVENTS_WRITE: "create, publish and cancel your events",
}


@router.get(
    "",
    response_class=HTMLResponse,
    summary="Where a client sends a person to allow it something",
    responses={302: {"description": "An error, told to the client"}, **documented(ProblemType.INVALID_REQUEST)},
)
async def ask(request: Request, engine: IdentityDatabase) -> Response:
    """`response_type=code`, `client_id`, `redirect_uri`, `scope`, `state`, `nonce`, and PKCE with S256."""
    try:
        given = query_of(request)
        return await _page(given, request, engine)
    except BadForm as error:
        return bad_form(error, request)
    except OAuth2Error as error:
        return failed(error, request)


@router.post(
    "",
    response_class=HTMLResponse,
    summary="What the person has decided",
    responses={302: {"description": "Back to the client"}, **documented(ProblemType.INVALID_REQUEST)},
)
async def decide(request: Request, engine: IdentityDatabase) -> Response:
    """The page's form: what the client asked for, and `email`, `password`, `decision` of the person."""
    try:
        given = await form_of(request, free=_OURS)
        asked = {name: value for name, value in given.items() if name not in _OURS}
        if given.get("decision") != "allow":
            return await _end(asked, request, engine, None)
        return await _end(asked, request, engine, (given.get("email", ""), given.get("password", "")))
    except BadForm as error:
        return bad_form(error, request)
    except OAuth2Error as error:
        return failed(error, request)


async def _page(
    asked: Mapping[str, str], request: Request, engine: IdentityDatabase, *, failure: str = ""
) -> HTMLResponse:
    """The page for a request that is in order.

    Raises:
        OAuth2Error: It is not.
    """

    def check(server: OAuthServer) -> tuple[str, str]:
        grant = server.get_consent_grant(oauth_request(request, asked))
        return grant.request.client.registered.name, grant.request.scope

    client, scope = await serve(engine, request.app.state.tokens, check)
    wishes = [_WORDS[scope] for scope in sorted(scopes_of(scope))]
    page = _PAGES.get_template("authorize.html").render(client=client, wishes=wishes, asked=asked, failure=failure)
    return HTMLResponse(page, 401 if failure else 200, headers=NO_STORE)


async def _end(
    asked: Mapping[str, str], request: Request, engine: IdentityDatabase, shown: tuple[str, str] | None
) -> Response:
    """Back to the client with a code for whoever has shown who they are, or with a no."""
    try:
        user = await prove(engine, *shown) if shown else None
    except Refused as refusal:
        if refusal.problem.type is not ProblemType.UNAUTHENTICATED:
            raise
        return await _page(asked, request, engine, failure=refusal.problem.detail)

    def answer(server: OAuthServer) -> Answer:
        wanted = oauth_request(request, asked)
        grant = server.get_consent_grant(wanted, end_user=user)
        result: Answer = server.create_authorization_response(wanted, grant_user=user, grant=grant)
        return result

    return answered(await serve(engine, request.app.state.tokens, answer), request)
