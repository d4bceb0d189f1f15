"""The page on which a person gives a client a grant; it asks for the password each time, so it needs no cookie.

What a person has allowed a client is remembered: the page then asks for the log-in alone.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

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
from api.identity.oauth.server import Answer, OAuthServer, serve_within
from db.identity import accounts, consents
from db.identity.accounts import Account
from db.identity.audit_log import of_client
from db.identity.clients import Client
from db.identity.consents import LoggedIn
from domain.identity import Scope
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/oauth/authorize", tags=["identity"], dependencies=[PUBLIC, ANY_QUERY])

# The page's own fields, with the most characters of each; what they hold is normalized, which takes its time.
_OURS: Final = {
    "email": 254,
    "password": 200,
    "challenge": 2000,
    "second_factor": 100,
    "consent": 2000,
    "decision": 100,
}
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
    Scope.EMAIL: "see your email address",
    Scope.BOOKINGS_READ: "see your bookings",
    Scope.BOOKINGS_WRITE: "book, pay, exchange tickets, give tickets back and cancel in your name",
    Scope.EVENTS_READ: "see your events that are not public, and what your events have sold",
    Scope.EVENTS_WRITE: "create, publish and cancel your events",
}


class _Form(NamedTuple):
    """What the page shows besides the request: why it is shown again, and what waits for a code or for a decision."""

    failure: str = ""
    challenge: str = ""
    consent: str = ""
    email: str = ""


class _Wishes(NamedTuple):
    """A valid request: the client, and what it wants to be allowed.

    Attributes:
        asks_always: The person decides even if all of it was allowed before.
        is_itself: No other program can pretend to be the client, so what is allowed is remembered.
    """

    client: Client
    scopes: frozenset[Scope]
    asks_always: bool
    is_itself: bool


@router.get(
    "",
    name="show_oauth_consent",
    response_class=HTMLResponse,
    summary="Ask a person for a grant",
    responses={302: {"description": "Back to the client, with an error"}, **documented(ProblemType.INVALID_REQUEST)},
)
async def ask(request: Request, context: Identity) -> Response:
    """`response_type=code`, `client_id`, `redirect_uri`, `scope`, `state`, `nonce`, and PKCE with S256.

    With `prompt=consent` the person decides again about what is allowed already.
    """
    try:
        return await _page(context, _asked(query_of(request)), _Form())
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
    """The page's form: what the client requests, and the person's `decision`, first with `email` and `password`.

    An account with a second factor is asked for a code on a second page: `challenge` and `second_factor`. If something
    is not allowed yet, the last page says what the client requests: `consent`.
    """
    try:
        given = await form_of(request, free=_OURS)
        asked = _asked(given)
        if given.get("decision") != "allow":
            return await _deny(context, asked, given.get("consent", ""))
        if given.get("consent"):
            return await _allow(context, asked, given["consent"])
        if given.get("challenge"):
            return await _log_in_by_code(context, asked, given["challenge"], given.get("second_factor", ""))
        return await _log_in(context, asked, given.get("email", ""), given.get("password", ""))
    except BadForm as error:
        return bad_form(error, request)
    except OAuth2Error as error:
        return failed(error, request)


def _asked(given: Mapping[str, str]) -> dict[str, str]:
    """The client's request alone: its address fills in no field of the page's form."""
    return {name: value for name, value in given.items() if name not in _OURS}


async def _log_in(context: IdentityContext, asked: Mapping[str, str], email: str, password: str) -> Response:
    """On to the decision, to the page that asks for the second factor, or back to the client."""
    async with context.engine.begin() as connection:
        await _wishes(connection, context, asked)  # first: an invalid request does not reveal if the password is right
    try:
        async with context.proving():
            proof = await login.prove(context, email, password)
        async with context.engine.begin() as connection:
            wishes = await _wishes(connection, context, asked)
            account = await login.admit(connection, context, proof)
            challenge = await login.challenge(connection, account)
            if challenge is None:
                return await _go_on(connection, context, asked, wishes, account)
    except Refused as refusal:
        return await _page(context, asked, _Form(_failure(refusal)))
    return await _page(context, asked, _Form(challenge=challenge))


async def _log_in_by_code(context: IdentityContext, asked: Mapping[str, str], challenge: str, code: str) -> Response:
    """On to the decision or back to the client, after a code of the second factor."""
    try:
        tried = await login.try_challenge(context, challenge)
    except Refused as refusal:
        return await _page(context, asked, _Form(_failure(refusal)))
    try:
        async with context.proving(), context.engine.begin() as connection:
            wishes = await _wishes(connection, context, asked)
            account = await login.admit_by_code(connection, context, tried, code)
            return await _go_on(connection, context, asked, wishes, account)
    except Refused as refusal:
        return await _page(context, asked, _Form(_failure(refusal), challenge))


def _failure(refusal: Refused) -> str:
    """Why the person has to try again; other refusals are raised."""
    if refusal.problem.type is not ProblemType.UNAUTHENTICATED:
        raise refusal
    return refusal.problem.detail


async def _go_on(
    connection: AsyncConnection, context: IdentityContext, asked: Mapping[str, str], wishes: _Wishes, account: Account
) -> Response:
    """Back to the client if the person has allowed all of it before, or else the page that asks for the decision."""
    client = wishes.client
    if not wishes.asks_always and await consents.covers(connection, account.id, client.id, wishes.scopes):
        return await _back(connection, context, asked, LoggedIn(account.id), account, client, "client.entered")
    word = await consents.wait(connection, account.id, client.id)
    return _rendered(wishes, asked, _Form(consent=word, email=account.profile.email))


async def _deny(context: IdentityContext, asked: Mapping[str, str], word: str) -> Response:
    """Back to the client with the person's refusal, which uses up the word, if there is one."""
    async with context.engine.begin() as connection:
        wishes = await _wishes(connection, context, asked)
        await _decider(connection, context, word)
        await consents.decide(connection, word, wishes.client.id)
        answer = await serve_within(connection, context, lambda server: _answer(server, context.request, asked, None))
    return answered(answer, context.request)


async def _decider(connection: AsyncConnection, context: IdentityContext, word: str) -> Account | None:
    """The person who may decide by this word, locked first: a reset or an erasure between ends what waits."""
    user_id = await consents.waiting(connection, word)
    return await accounts.locked(connection, context.vault, user_id) if user_id else None


async def _allow(context: IdentityContext, asked: Mapping[str, str], word: str) -> Response:
    """Back to the client, with what a person allows some minutes after the log-in."""
    async with context.engine.begin() as connection:
        wishes = await _wishes(connection, context, asked)
        account = await _decider(connection, context, word)
        logged_in = await consents.decide(connection, word, wishes.client.id)
        if account and logged_in:
            if wishes.is_itself:
                await consents.give(connection, account.id, wishes.client.id, wishes.scopes)
            return await _back(connection, context, asked, logged_in, account, wishes.client, "client.allowed")
    return await _page(context, asked, _Form("Your log-in has expired. Log in again."))


async def _page(context: IdentityContext, asked: Mapping[str, str], form: _Form) -> HTMLResponse:
    """The page for a request; raises as `_wishes` does."""
    async with context.engine.begin() as connection:
        wishes = await _wishes(connection, context, asked)
    return _rendered(wishes, asked, form)


def _rendered(wishes: _Wishes, asked: Mapping[str, str], form: _Form) -> HTMLResponse:
    words = [_WORDS[scope] for scope in sorted(wishes.scopes)]
    template = _PAGES.get_template("authorize.html")
    shown = {"client": wishes.client.name, "wishes": words, "is_remembered": wishes.is_itself}
    page = template.render(style=_STYLE, asked=asked, form=form, **shown)
    return HTMLResponse(page, 401 if form.failure else 200, headers=_HEADERS)


async def _wishes(connection: AsyncConnection, context: IdentityContext, asked: Mapping[str, str]) -> _Wishes:
    """What the client requests. Ask it before the person's row is locked: a refresh locks in that order, too.

    Raises:
        OAuth2Error: The request is not valid.
    """

    def check(server: OAuthServer) -> tuple[Client, str]:
        grant = server.get_consent_grant(oauth_request(context.request, asked))
        return grant.request.client.registered, grant.request.scope

    client, scope = await serve_within(connection, context, check)
    # Another program on the person's machine can take a public client's name and any address but one of the web.
    is_itself = client.secret_hash is not None or asked["redirect_uri"].startswith("https:")
    asks_always = "consent" in asked.get("prompt", "").split() or not is_itself
    return _Wishes(client, scopes_of(scope), asks_always, is_itself)


async def _back(
    connection: AsyncConnection,
    context: IdentityContext,
    asked: Mapping[str, str],
    logged_in: LoggedIn,
    account: Account,
    client: Client,
    action: str,
) -> Response:
    """Back to the client with a code, in the transaction that has locked the person: no reset can come between."""
    answer = await serve_within(connection, context, lambda server: _answer(server, context.request, asked, logged_in))
    await context.record(connection, Principal(account.id, account.roles), action, of_client(client.id))
    return answered(answer, context.request)


def _answer(server: OAuthServer, request: Request, asked: Mapping[str, str], user: LoggedIn | None) -> Answer:
    """The answer to the client: a code where the person allows it, or a refusal."""
    wanted = oauth_request(request, asked)
    grant = server.get_consent_grant(wanted, end_user=user)
    answer: Answer = server.create_authorization_response(wanted, grant_user=user, grant=grant)
    return answer
