"""Our authorization server: authlib's, over one transaction of identity's database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidRequestError, OAuth2Request, UnauthorizedClientError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.tokens import AccessTokens, Claims, Principal
from api.identity.context import IdentityContext
from api.identity.oauth import clients
from api.identity.oauth.grants import METHODS, CodeGrant, IdTokens, OnlyS256, PartnerGrant, RefreshGrant
from db.identity import grants
from db.identity.grants import Family
from db.identity.vault import Vault
from domain.identity import GRANTED_TO_CLIENTS, SigningAlgorithm
from domain.problems import Refused

T = TypeVar("T")


class Answer(NamedTuple):
    """What the protocol answers; the route gives it its form on the wire."""

    status: int
    body: Mapping[str, Any] | str
    headers: Sequence[tuple[str, str]]


class OAuthServer(AuthorizationServer):  # type: ignore[misc]
    """Lives for one request. authlib asks synchronously; SQLAlchemy's `run_sync` makes that wait without a thread."""

    def __init__(self, connection: Connection, vault: Vault, tokens: AccessTokens) -> None:
        super().__init__(scopes_supported=sorted(GRANTED_TO_CLIENTS))
        self.connection = connection
        self.vault = vault
        self.tokens = tokens
        self.register_grant(CodeGrant, [OnlyS256(), IdTokens()])
        self.register_grant(RefreshGrant)
        self.register_grant(PartnerGrant)
        self.register_endpoint(Revocation)
        self.register_endpoint(Introspection)

    def query_client(self, client_id: str) -> clients.OAuthClient | None:
        """The registered client; None if there is none, or it was removed."""
        return clients.find(self.connection, client_id)

    def save_token(self, token: Mapping[str, Any], request: Any) -> None:
        """Access tokens are kept nowhere, refresh tokens where they are made."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Signals are not used."""

    def create_oauth2_request(self, request: OAuthRequest) -> OAuthRequest:
        """Give the request what the grants need: the transaction, the vault, and the key that signs."""
        request.connection, request.vault, request.issuer = self.connection, self.vault, self.tokens.issuer
        request.sign = self.tokens.ring.sign_id_token
        return request

    def handle_response(self, status: int, body: Any, headers: Sequence[tuple[str, str]]) -> Answer:
        """The answer as the routes expect it; they add the problem details."""
        return Answer(status, body, headers)


class OAuthRequest(OAuth2Request):  # type: ignore[misc]
    """A request as authlib sees it.

    TLS ends in front of this process, so authlib gets an address that it takes for secure.
    """

    connection: Connection
    vault: Vault
    issuer: str
    sign: Callable[[dict[str, Any], SigningAlgorithm], str]

    def __init__(self, method: str, given: Mapping[str, str], headers: Mapping[str, str]) -> None:
        super().__init__(method, "https://seatwright.invalid/", headers=headers)
        self.payload = BasicOAuth2Payload(dict(given))

    @property
    def form(self) -> dict[str, str]:
        """The checked fields of the body or the query."""
        return dict(self.payload.data)


class TokenInHand:
    """A token that a client presents, as authlib needs it."""

    def __init__(self, client_id: UUID | None, said: dict[str, Any], end: Callable[[Connection], None]) -> None:
        self.client_id, self.said, self.end = client_id, said, end

    def check_client(self, client: Any) -> bool:
        """Whether the token was issued to this client; others may not revoke it."""
        return bool(self.client_id == client.registered.id)

    def is_expired(self) -> bool:
        """Always false: `query_token` does not find an expired or revoked token."""
        return False  # an expired token is not found

    is_revoked = is_expired


def _token(server: OAuthServer, token: str) -> TokenInHand | None:
    """A valid access or refresh token, whatever type the client says it has."""
    known = grants.look(server.connection, token)
    if known:
        family, ends = known
        return _refresh_token(family, int(ends.timestamp()))
    try:
        return _access_token(server.tokens.claims(token), server.tokens.issuer)
    except Refused:
        return None


def _refresh_token(family: Family, expires_at: int) -> TokenInHand:
    said = {"sub": str(family.user_id), "client_id": str(family.client_id), "exp": expires_at}
    said["scope"] = " ".join(sorted(family.scopes))
    return TokenInHand(family.client_id, said, lambda connection: grants.end(connection, family.id))


def _access_token(claims: Claims, issuer: str) -> TokenInHand:
    principal: Principal = claims.principal
    said = {
        "iss": issuer,
        "sub": str(principal.user_id),
        "scope": " ".join(sorted(principal.scopes)),
        "roles": sorted(principal.roles),
        "exp": claims.expires_at,
        "jti": str(claims.id),
        "token_type": "Bearer",
    }
    if principal.client_id:
        said["client_id"] = str(principal.client_id)
    return TokenInHand(principal.client_id, said, lambda connection: grants.revoke(connection, claims.id))


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """RFC 7009: a refresh token ends its whole family, an access token only itself."""

    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> TokenInHand | None:
        """A valid token of either type; the hint is not needed."""
        return _token(self.server, token_string)

    def revoke_token(self, token: TokenInHand, request: Any) -> None:
        """End the token in the transaction of this request."""
        token.end(self.server.connection)


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    """RFC 7662, for clients that were registered for it."""

    CLIENT_AUTH_METHODS = METHODS[:2]

    def authenticate_endpoint_client(self, request: Any) -> Any:
        """Authenticate the client that introspects.

        Raises:
            UnauthorizedClientError: It was not registered for introspection.
        """
        client = super().authenticate_endpoint_client(request)
        if not client.registered.may_introspect:
            raise UnauthorizedClientError("The client may not introspect tokens.", status_code=403)
        return client

    def query_token(self, token_string: str, token_type_hint: str | None) -> TokenInHand | None:
        """A valid token of either type; the hint is not needed."""
        return _token(self.server, token_string)

    def check_permission(self, token: TokenInHand, client: Any, request: Any) -> bool:
        """Always true: a client that may introspect at all may read every client's tokens."""
        return True

    def introspect_token(self, token: TokenInHand) -> dict[str, Any]:
        """The contents of a valid token, as RFC 7662 names them."""
        return token.said


async def serve(context: IdentityContext, work: Callable[[OAuthServer], T]) -> T:
    """Let the server work in one transaction, which is committed also where the protocol answers with an error.

    Raises:
        OAuth2Error: The request cannot be answered as the protocol requires.
    """
    async with context.engine.begin() as connection:
        return await serve_within(connection, context, work)


async def serve_within(connection: AsyncConnection, context: IdentityContext, work: Callable[[OAuthServer], T]) -> T:
    """As `serve`, in the caller's transaction."""

    def run(connection: Connection) -> T:
        try:
            return work(OAuthServer(connection, context.vault, context.request.app.state.tokens))
        except ValueError as error:
            # authlib puts the client's words into its messages, and then finds characters there that it does not allow.
            raise InvalidRequestError("The request has characters that are not allowed.") from error

    return await connection.run_sync(run)
