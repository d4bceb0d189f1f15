"""Log-in with an outside provider (OpenID Connect); an existing account is linked only after its owner logs in."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError
from fastapi import APIRouter, Query, Request, Response, status
from joserfc.errors import JoseError
from pydantic import StringConstraints, TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.guards import PUBLIC, Caller
from api.auth.tokens import Principal
from api.http.problems import documented
from api.http.query_guard import ANY_QUERY
from api.http.schemas import RequestModel, Storable
from api.identity.accounts import Address
from api.identity.context import Identity, IdentityContext
from api.identity.login import NO_STORE, Tokens, enter
from api.identity.notes import LASTS, open_note, seal_note
from api.identity.passwords import hash_password
from api.identity.proofs import FreshLogIn, proof_token
from config.settings import Settings
from db.identity import accounts, outside_accounts
from db.identity.accounts import Account
from db.identity.audit_log import of_user
from domain.identity import Profile, Role
from domain.names import cleaned
from domain.problems import ProblemType, Refused

router = APIRouter(tags=["identity"])

_COOKIE: Final = "seatwright-log-in"
_PATH: Final = "/v1/log-in"
_TIMEOUT: Final = 3.0
_FRESH: Final = {"prompt": "login", "max_age": "0"}  # the provider asks its user to log in again, and says when
_FRESH_SINCE: Final = "fresh since"
_SKEW: Final = 60.0  # seconds by which a provider's clock may be late
_EMAIL: Final = TypeAdapter[str](Address)


class Outside(NamedTuple):
    """A person at a provider, which has verified their address."""

    provider: str
    subject: str
    email: str
    name: str


FreshQuery = Annotated[
    bool, Query(description="Open no session, but answer a `proof_token`, for an account that is linked already")
]


class Link(RequestModel):
    """The `link_token` of a log-in that found an existing account; it links the provider to my account."""

    link_token: Annotated[str, StringConstraints(max_length=4000), Storable]


def providers(settings: Settings) -> OAuth:
    """The clients of the providers in the settings, made with authlib; addresses come from the settings alone.

    They share what TLS needs: to read the authorities' certificates for each call would hold the event loop for 25 ms.
    """
    known, tls = OAuth(), httpx2.create_ssl_context() if settings.login_providers else None
    for name, provider in settings.login_providers.items():
        known.register(
            name,
            server_metadata_url=f"{provider.issuer}/.well-known/openid-configuration",
            client_id=provider.client_id,
            client_secret=provider.client_secret.get_secret_value(),
            client_kwargs={
                "scope": "openid email profile",
                "code_challenge_method": "S256",
                "timeout": _TIMEOUT,
                "verify": tls,
            },
        )
    return known


@router.get(
    _PATH + "/{provider}",
    name="begin_outside_log_in",
    dependencies=[PUBLIC],
    status_code=status.HTTP_302_FOUND,
    response_class=Response,
    summary="Log in with an outside provider",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.UNAVAILABLE),
)
async def leave(provider: str, request: Request, fresh: FreshQuery = False) -> Response:
    """Redirects the browser to the provider, with a cookie that the return has to carry."""
    client, settings = _client(request, provider), request.app.state.settings
    session: dict[str, Any] = {_FRESH_SINCE: time.time()} if fresh else {}
    request.scope["session"] = session
    back = f"{settings.api_url}{_PATH}/{provider}/back"
    try:
        redirect: Response = await client.authorize_redirect(request, back, **(_FRESH if fresh else {}))
    except (httpx2.HTTPError, ValueError, TypeError, RuntimeError) as error:
        raise ConnectionError("the provider does not answer as OpenID Connect requires") from error
    redirect.set_cookie(
        _COOKIE,
        seal_note(settings, session, _COOKIE + provider),
        max_age=LASTS,
        path=_PATH,
        secure=settings.api_url.startswith("https:"),
        httponly=True,
        samesite="lax",
    )
    redirect.headers.update(NO_STORE)
    return redirect


@router.get(
    _PATH + "/{provider}/back",
    name="complete_outside_log_in",
    dependencies=[PUBLIC, ANY_QUERY],
    summary="Come back from an outside provider",
    responses=documented(
        ProblemType.UNAUTHENTICATED,
        ProblemType.SECOND_FACTOR_REQUIRED,
        ProblemType.PROOF_NEEDED,
        ProblemType.FORBIDDEN,
    ),
)
async def come_back(provider: str, request: Request, response: Response, context: Identity) -> Tokens | FreshLogIn:
    """Answers tokens, or asks for the second factor, as `POST /v1/sessions` does; after `fresh`, a `proof_token`.

    If an account with this address exists, it answers 409 with a `link_token`: log in to that account to link it.
    """
    said = await _claims(provider, request)
    response.headers.update(NO_STORE)
    response.delete_cookie(_COOKIE, path=_PATH)
    if since := request.session.get(_FRESH_SINCE):
        return await _fresh(context, provider, said, since)
    return await _log_in(context, _outside(provider, said))


async def _fresh(context: IdentityContext, provider: str, said: Mapping[str, Any], since: float) -> FreshLogIn:
    """The proof of a log-in that has just been done; it makes no account, and opens none.

    Raises:
        Refused: FORBIDDEN: The provider does not say that its user has logged in again, or it is linked to no account.
    """
    at, subject = said.get("auth_time"), str(said["sub"])
    if not isinstance(at, int | float) or at < since - _SKEW:
        raise Refused(
            ProblemType.FORBIDDEN,
            "The provider does not confirm that you have just logged in. Set a password by POST /v1/password-resets.",
        )
    async with context.engine.connect() as connection:
        if await outside_accounts.owner(connection, provider, subject) is None:
            raise Refused(ProblemType.FORBIDDEN, "No account is linked to this account at the provider.")
    return proof_token(context.request.app.state.settings, provider, subject)


async def _log_in(context: IdentityContext, who: Outside) -> Tokens:
    unusable = await hash_password(secrets.token_urlsafe(32))
    async with context.engine.begin() as connection:
        account = await _account_of(connection, context, who, unusable)
        tokens = await enter(connection, context, account) if account else _proof_needed(context.request, who)
    if isinstance(tokens, Refused):
        raise tokens
    return tokens


@router.post(
    "/v1/me/outside-accounts",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Link an outside provider to my account",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.INVALID_REQUEST, ProblemType.WRONG_STATE),
)
async def link_outside_account(body: Link, caller: Caller, request: Request, context: Identity) -> None:
    """Send the `link_token` of a log-in for your own address. Linking twice is no error."""
    try:
        who = Outside(**open_note(request.app.state.settings, body.link_token, "link"))
    except ValueError:
        raise _bad_link() from None
    async with context.engine.begin() as connection:
        account = await context.account_of_session(connection, caller)
        if not await outside_accounts.has_address(connection, context.vault, account.id, who.email):
            raise _bad_link()
        is_new = await outside_accounts.owner(connection, who.provider, who.subject) is None
        if await outside_accounts.link(connection, who.provider, who.subject, account.id) != account.id:
            raise Refused(ProblemType.WRONG_STATE, "This provider account is linked to another account.")
        if is_new:
            await context.record(connection, caller, f"outside-account.linked:{who.provider}", of_user(account.id))


async def _account_of(
    connection: AsyncConnection, context: IdentityContext, who: Outside, password_hash: str
) -> Account | None:
    """The account that is linked, locked, or a new one; None if the address belongs to one that is not linked."""
    known = await outside_accounts.owner(connection, who.provider, who.subject)
    if known is not None:
        account = await accounts.locked(connection, context.vault, known)
        if account is None or await outside_accounts.owner(connection, who.provider, who.subject) != account.id:
            raise Refused(ProblemType.UNAUTHENTICATED, "The account has just been erased or unlinked.")
        return account
    profile = Profile(email=who.email, name=who.name)
    made = await accounts.register(
        connection, context.vault, profile, password_hash=password_hash, roles={Role.CUSTOMER}
    )
    if made is None:
        return None
    if await outside_accounts.link(connection, who.provider, who.subject, made.id) != made.id:
        raise ConnectionError("another request logs in with the same account at the same moment")
    await accounts.set_verified(connection, made.id)  # the provider has
    await context.record(connection, Principal(made.id, made.roles), "account.registered", of_user(made.id))
    return made


def _proof_needed(request: Request, who: Outside) -> Refused:
    return Refused(
        ProblemType.PROOF_NEEDED,
        "An account with this address exists. Log in to it, and send the link_token to /v1/me/outside-accounts.",
        link_token=seal_note(request.app.state.settings, who._asdict(), "link"),
    )


async def _claims(provider: str, request: Request) -> Mapping[str, Any]:
    """What the provider says of the person whose browser has come back.

    Raises:
        Refused: It is another browser than the one that left, or the provider says no.
    """
    client, settings = _client(request, provider), request.app.state.settings
    try:
        request.scope["session"] = open_note(settings, request.cookies.get(_COOKIE, ""), _COOKIE + provider)
        said: Mapping[str, Any] = (await client.authorize_access_token(request))["userinfo"]
    except httpx2.HTTPError as error:
        raise ConnectionError("the provider does not answer") from error
    except (OAuthError, JoseError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise Refused(ProblemType.UNAUTHENTICATED, "The log-in with the provider did not succeed.") from error
    return said


def _outside(provider: str, said: Mapping[str, Any]) -> Outside:
    """The person at the provider.

    Raises:
        Refused: FORBIDDEN: The provider has not verified the address.
    """
    if said.get("email_verified") is not True:
        raise Refused(ProblemType.FORBIDDEN, "The provider has not verified your email address.")
    try:
        email = _EMAIL.validate_python(said.get("email"))
    except ValidationError:
        raise Refused(ProblemType.FORBIDDEN, "The provider sends no email address that we can use.") from None
    name = cleaned(str(said.get("name") or "")[:200]) or cleaned(email.partition("@")[0])
    return Outside(provider, str(said["sub"]), email, name or provider)


def _client(request: Request, provider: str) -> Any:
    client = request.app.state.providers.create_client(provider)
    if client is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such provider.")
    return client


def _bad_link() -> Refused:
    return Refused(
        ProblemType.INVALID_REQUEST,
        "The link_token is for another address or has expired. Log in with the provider again.",
        errors=[{"field": "body.link_token", "message": "is not valid"}],
    )
