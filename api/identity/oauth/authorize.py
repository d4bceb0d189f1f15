"""The page on which a person gives a client a grant; it asks for the password each time, so it needs no cookie."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from authlib.oauth2 import OAuth2Error
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.guards import PUBLIC
from api.auth.tokens import Principal
from api.http.problems import documented
from api.http.query_guard import ANY_QUERY
from api.identity import login
from api.identity.context import Identity, IdentityContext
from api.identity.login import NO_STORE
from api.identity.oauth.clients import scopes_of
from api.identity.oauth.forms import BadForm, answered, bad_form, failed, form_of, oauth_request, query_of
from api.identity.oauth.server import Answer, OAuthServer, serve, serve_within
from db.identity.accounts import Account
from domain.identity import Scope
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/oauth/authorize", tags=["identity"], dependencies=[PUBLIC, ANY_QUERY])

_OURS: Final = frozenset({"email", "password", "challenge", "second_factor", "decision"})
_FOLDER: Final = Path(__file__).parents[1] / "pages"
_PAGES: Final = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True)
_STYLE: Final = (_FOLDER / "authorize.css").read_text()
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    **NO_STORE,
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'",
}
_WORDS: Final[Mapping[Scope, str]] = {
    Scope.OPENID: "know that it is you",
    Scope.PROFILE: "see your name",
    Scope.EMAIL: "see your e-mail address",
    Scope.BOOKINGS_READ: "see your bookings",
    Scope.BOOKINGS_WRITE: "book, pay and cancel in your name",
    Scope.EVENTS_READ: "see your events that are not public",
    Scope.EVENTS_WRITE: "create, publish and cancel your events",
}


class _Form(NamedTuple):
    """What the page shows besides the requested scopes: why it is shown again, and the log-in that waits for a code."""

    failure: str = ""
    challenge: str = ""


@router.get(
    "",
    name="show_oauth_consent",
    response_class=HTMLResponse,
    summary="Ask a person for a grant",
    responses={302: {"description": "Back to the client, with an error"}, **documented(ProblemType.INVALID_REQUEST)},
)
async def ask(request: Request, context: Identity) -> Response:
    """`response_type=code`, `client_id`, `redirect_uri`, `scope`, `state`, `nonce`, and PKCE with S256."""
    try:
        return await _page(context, query_of(request), _Form())
    except BadForm as error:
        return bad_form(error, request)
    except OAuth2Error as error:
        return failed(error, request)


@router.post(
    "",
    name="decide_oauth_consent",
    response_class=HTMLResponse,
    summary="Submit the person's decision",
    responses={302: {"description": "Back to the client"}, **documented(ProblemType.INVALID_REQUEST)},
)
async def decide(request: Request, context: Identity) -> Response:
    """The page's form: what the client requests, and the person's `decision` with `email` and `password`.

    An account with a second factor is asked for a code on a second page: `challenge` and `second_factor`.
    """
    try:
        given = await form_of(request, free=_OURS)
        asked = {name: value for name, value in given.items() if name not in _OURS}
        if given.get("decision") != "allow":
            return answered(await serve(context, lambda server: _answer(server, request, asked, None)), request)
        if given.get("challenge"):
            return await _allow_by_code(context, asked, given["challenge"], given.get("second_factor", ""))
        return await _allow(context, asked, given.get("email", ""), given.get("password", ""))
    except BadForm as error:
        return bad_form(error, request)
    except OAuth2Error as error:
        return failed(error, request)


async def _allow(context: IdentityContext, asked: Mapping[str, str], email: str, password: str) -> Response:
    """Back to the client with a code, or on to the page that asks for the second factor."""
    await _wishes(context, asked)  # first, so that an invalid request does not reveal whether the password is right
    try:
        async with context.proving():
            proof = await login.prove(context, email, password)
        async with context.engine.begin() as connection:
            account = await login.admit(connection, context, proof)
            challenge = await login.challenge(connection, account)
            if challenge is None:
                return await _back(connection, context, asked, account)
    except Refused as refusal:
        return await _page(context, asked, _Form(_failure(refusal)))
    return await _page(context, asked, _Form(challenge=challenge))


async def _allow_by_code(context: IdentityContext, asked: Mapping[str, str], challenge: str, code: str) -> Response:
    """Back to the client with an authorization code, after a code of the second factor."""
    try:
        user_id = await login.try_challenge(context, challenge)
    except Refused as refusal:
        return await _page(context, asked, _Form(_failure(refusal)))
    try:
        async with context.proving(), context.engine.begin() as connection:
            return await _back(
                connection, context, asked, await login.admit_by_code(connection, context, user_id, code)
            )
    except Refused as refusal:
        return await _page(context, asked, _Form(_failure(refusal), challenge))


def _failure(refusal: Refused) -> str:
    """Why the person has to try again; other refusals are raised."""
    if refusal.problem.type is not ProblemType.UNAUTHENTICATED:
        raise refusal
    return refusal.problem.detail


async def _page(context: IdentityContext, asked: Mapping[str, str], form: _Form) -> HTMLResponse:
    """The page for a request; raises as `_wishes` does."""
    client, wishes = await _wishes(context, asked)
    template = _PAGES.get_template("authorize.html")
    page = template.render(style=_STYLE, client=client, wishes=wishes, asked=asked, form=form)
    return HTMLResponse(page, 401 if form.failure else 200, headers=_HEADERS)


async def _wishes(context: IdentityContext, asked: Mapping[str, str]) -> tuple[str, list[str]]:
    """The client's name, and what it requests, in words.

    Raises:
        OAuth2Error: The request is not valid.
    """

    def check(server: OAuthServer) -> tuple[str, str]:
        grant = server.get_consent_grant(oauth_request(context.request, asked))
        return grant.request.client.registered.name, grant.request.scope

    client, scope = await serve(context, check)
    return client, [_WORDS[scope] for scope in sorted(scopes_of(scope))]


async def _back(
    connection: AsyncConnection, context: IdentityContext, asked: Mapping[str, str], account: Account
) -> Response:
    """Back to the client with a code, in the transaction that has checked the person: no reset can come between."""
    answer = await serve_within(connection, context, lambda server: _answer(server, context.request, asked, account.id))
    caller = Principal(account.id, account.roles)
    await context.record(connection, caller, "client.allowed", f"client/{asked.get('client_id')}")
    return answered(answer, context.request)


def _answer(server: OAuthServer, request: Request, asked: Mapping[str, str], user: UUID | None) -> Answer:
    """The answer to the client: a code where the person allows it, or a refusal."""
    wanted = oauth_request(request, asked)
    grant = server.get_consent_grant(wanted, end_user=user)
    answer: Answer = server.create_authorization_response(wanted, grant_user=user, grant=grant)
    return answer
