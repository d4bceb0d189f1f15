"""OAuth 2 and OpenID Connect over REST: tokens, revocation, introspection, and the server's metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from authlib.oauth2 import OAuth2Error
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.auth.guards import PUBLIC, OpenId
from api.auth.tokens import AccessTokens
from api.http.problems import documented
from api.identity.context import Identity, IdentityContext, require_account
from api.identity.login import NO_STORE, first_party_tokens
from api.identity.oauth.forms import BadForm, answered, bad_form, failed, form_of, oauth_request, refused
from api.identity.oauth.grants import METHODS, about_user
from api.identity.oauth.server import Answer, OAuthServer, serve
from api.identity.oauth.views import Introspection, KeySet, OAuthTokens, OpenIdConfiguration, Revocation, UserInfo
from db.identity import accounts, sessions
from domain.identity import GRANTED_TO_CLIENTS, SigningAlgorithm
from domain.problems import ProblemType

router = APIRouter(tags=["identity"])

_ABOUT_A_PERSON = ("name", "email", "email_verified")
_FORM: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
_PROBLEMS = documented(ProblemType.INVALID_REQUEST, ProblemType.UNAUTHENTICATED, ProblemType.UNAVAILABLE)


def _described(*required: str) -> dict[str, Any]:
    schema = _FORM | {"required": list(required), "properties": {name: {"type": "string"} for name in required}}
    return {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": schema}}}}


@router.post(
    "/v1/oauth/token",
    name="issue_oauth_token",
    dependencies=[PUBLIC],
    summary="Get tokens (authorization_code, refresh_token, client_credentials)",
    response_model=OAuthTokens,
    responses=_PROBLEMS,
    openapi_extra=_described("grant_type"),
)
async def token(request: Request, context: Identity) -> Response:
    """Registered clients authenticate. Without a client, the refresh token is one of our own log-in."""
    try:
        given = await form_of(request)
    except BadForm as error:
        return bad_form(error, request)
    has_client = "client_id" in given or request.headers.get("authorization", "").lower().startswith("basic ")
    if given.get("grant_type") == "refresh_token" and not has_client:
        return await _refresh(given.get("refresh_token"), request, context)
    return await _protocol(request, context, lambda server: server.create_token_response(oauth_request(request, given)))


async def _refresh(refresh_token: str | None, request: Request, context: IdentityContext) -> Response:
    if not refresh_token:
        return bad_form(BadForm("Missing 'refresh_token' in request."), request)
    async with context.engine.begin() as connection:
        program = request.headers.get("user-agent", "")
        rotation = await sessions.rotate(connection, context.vault, refresh_token, program)
        tokens = await first_party_tokens(request, connection, rotation) if rotation else None
    if tokens is None:
        return refused({"error": "invalid_grant"}, request, 400, NO_STORE)
    return Response(tokens.model_dump_json(), headers=NO_STORE, media_type="application/json")


@router.post(
    "/v1/oauth/revoke",
    name="revoke_oauth_token",
    dependencies=[PUBLIC],
    summary="Revoke a token of a client (RFC 7009)",
    response_model=Revocation,
    responses=_PROBLEMS,
    openapi_extra=_described("token"),
)
async def revoke(request: Request, context: Identity) -> Response:
    """A refresh token ends all tokens of its grant. An unknown token gets the same answer."""
    return await _endpoint("revocation", request, context)


@router.post(
    "/v1/oauth/introspect",
    name="introspect_oauth_token",
    dependencies=[PUBLIC],
    summary="Introspect a token (RFC 7662; registered resource servers)",
    response_model=Introspection,
    responses=_PROBLEMS | documented(ProblemType.FORBIDDEN),
    openapi_extra=_described("token"),
)
async def introspect(request: Request, context: Identity) -> Response:
    """A token that is not valid gets `{"active": false}`, whatever the reason."""
    return await _endpoint("introspection", request, context)


async def _endpoint(name: str, request: Request, context: IdentityContext) -> Response:
    try:
        given = await form_of(request)
    except BadForm as error:
        return bad_form(error, request)
    return await _protocol(
        request, context, lambda server: server.create_endpoint_response(name, oauth_request(request, given))
    )


async def _protocol(request: Request, context: IdentityContext, work: Callable[[OAuthServer], Answer]) -> Response:
    try:
        return answered(await serve(context, work), request)
    except OAuth2Error as error:
        return failed(error, request)


@router.get(
    "/v1/oauth/userinfo",
    name="get_oauth_userinfo",
    summary="Read the token's person (OpenID Connect)",
    response_model_exclude_unset=True,
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.NOT_FOUND),
)
async def userinfo(caller: OpenId, context: Identity) -> UserInfo:
    """404 for a client that acts for no person."""
    async with context.engine.connect() as connection:
        account = require_account(await accounts.find(connection, context.vault, caller.user_id))
    return UserInfo(sub=str(account.id), **about_user(account, caller.scopes))


class _KeySetResponse(JSONResponse):
    media_type = "application/jwk-set+json"


@router.get(
    "/.well-known/jwks.json",
    name="get_signing_keys",
    dependencies=[PUBLIC],
    summary="Read the public keys of tokens",
    response_class=_KeySetResponse,
    response_model=KeySet,
)
async def jwks(request: Request) -> Response:
    """Read them again when a token names an unknown `kid`. They may be cached for five minutes.

    Access tokens are signed with EdDSA alone, id tokens with the algorithm for which their client is registered.
    """
    tokens: AccessTokens = request.app.state.tokens
    if not tokens.ring.published:
        await request.app.state.key_sync.learn()
    return _KeySetResponse(tokens.jwks(), headers={"Cache-Control": "public, max-age=300"})


@router.get(
    "/.well-known/openid-configuration",
    name="get_openid_configuration",
    dependencies=[PUBLIC],
    summary="Read the OpenID Connect configuration",
)
async def configuration(request: Request) -> OpenIdConfiguration:
    """The addresses and capabilities of this server, for clients that configure themselves."""
    tokens: AccessTokens = request.app.state.tokens
    at = tokens.issuer
    return OpenIdConfiguration.model_validate(
        {
            "issuer": at,
            "authorization_endpoint": f"{at}/v1/oauth/authorize",
            "token_endpoint": f"{at}/v1/oauth/token",
            "revocation_endpoint": f"{at}/v1/oauth/revoke",
            "introspection_endpoint": f"{at}/v1/oauth/introspect",
            "userinfo_endpoint": f"{at}/v1/oauth/userinfo",
            "jwks_uri": f"{at}/.well-known/jwks.json",
            "scopes_supported": sorted(GRANTED_TO_CLIENTS),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_methods_supported": METHODS,
            "revocation_endpoint_auth_methods_supported": METHODS,
            "introspection_endpoint_auth_methods_supported": METHODS[:2],
            "code_challenge_methods_supported": ["S256"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(SigningAlgorithm),
            "claims_supported": [
                "sub",
                "iss",
                "aud",
                "exp",
                "iat",
                "auth_time",
                "nonce",
                "name",
                "email",
                "email_verified",
            ],
        }
    )
