"""The grants of our authorization server, as authlib wants them: code with PKCE, refresh, client credentials."""

from __future__ import annotations

import secrets
import time
from typing import Any
from uuid import UUID

from authlib.oauth2.rfc6749 import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    InvalidRequestError,
    InvalidScopeError,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode

from api.auth.tokens import LIFETIME, Principal
from api.identity.oauth.clients import scopes_of
from db.identity import accounts, grants, rights
from db.identity.accounts import Account
from db.identity.grants import Code, Family
from domain.identity import ROLES_OF_CLIENTS, Scope

METHODS = ["client_secret_basic", "client_secret_post", "none"]


class OnlyS256(CodeChallenge):  # type: ignore[misc]
    """authlib also takes `plain`, and codes without a challenge."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Check the challenge of an authorization request.

        Raises:
            InvalidRequestError: There is no challenge, or its method is not S256.
        """
        asked = grant.request.payload.data
        if not asked.get("code_challenge") or asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("A code_challenge with the code_challenge_method S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)

    def get_authorization_code_challenge(self, authorization_code: CodeInHand) -> str:
        """The challenge that the exchange's `code_verifier` is checked against."""
        return authorization_code.code.challenge

    def get_authorization_code_challenge_method(self, authorization_code: CodeInHand) -> str:
        """Always S256: no code is issued for another method."""
        return "S256"


class CodeInHand:
    """A code as authlib asks about it."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def get_redirect_uri(self) -> str:
        """The redirect URI of the authorization request; the exchange has to name the same."""
        return self.code.redirect_uri

    def get_scope(self) -> str:
        """The granted scopes, as on the wire: in order, with a space between."""
        return " ".join(sorted(self.code.scopes))


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    """A person has allowed a client something: the code for it is exchanged once for a family of tokens."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def generate_authorization_code(self) -> str:
        """A code with 256 random bits."""
        return secrets.token_urlsafe(32)

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Store the code of a `LoggedIn` person with everything that its exchange is checked against."""
        asked = request.payload.data
        grants.add_code(
            self.server.connection,
            code,
            client_id=request.client.registered.id,
            user_id=request.user.user_id,
            redirect_uri=asked["redirect_uri"],
            scopes=scopes_of(request.scope),
            challenge=asked["code_challenge"],
            nonce=asked.get("nonce"),
            logged_in_at=request.user.logged_in_at,
        )

    def query_authorization_code(self, code: str, client: Any) -> CodeInHand | None:
        """The code, if it is valid and was issued to this client."""
        found = grants.find_code(self.server.connection, code, client.registered.id)
        return CodeInHand(found) if found else None

    def delete_authorization_code(self, authorization_code: CodeInHand) -> None:
        """The used code stays, so that a second use is detected."""

    def authenticate_user(self, authorization_code: CodeInHand) -> UUID:
        """The person who granted it, by id."""
        return authorization_code.code.user_id

    def generate_token(self, **_: Any) -> dict[str, Any]:
        """Begin a family of tokens, with the scopes that the person granted."""
        family = grants.begin(self.server.connection, self.request.authorization_code.code)
        answer = _tokens_of(self.server, family, family.scopes)
        if self.request.client.check_grant_type("refresh_token"):
            answer["refresh_token"] = grants.first_token(self.server.connection, family.id)
        return answer


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]
    """The next tokens of a family; the new access token may be asked for with fewer scopes."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def authenticate_refresh_token(self, refresh_token: str) -> FamilyInHand | None:
        """The family of a valid refresh token of this client, locked until the transaction ends."""
        family = grants.hold(self.server.connection, refresh_token, self.request.client.registered.id)
        return FamilyInHand(family) if family else None

    def authenticate_user(self, refresh_token: FamilyInHand) -> UUID:
        """The person of the family, by id."""
        return refresh_token.family.user_id

    def issue_token(self, user: UUID, refresh_token: FamilyInHand) -> dict[str, Any]:
        """The next tokens of the family.

        A scope in the request narrows the access token only; the family keeps its scopes.
        """
        scope = self.request.payload.scope
        scopes = scopes_of(scope) if scope else refresh_token.family.scopes
        family, used = refresh_token.family, self.request.form["refresh_token"]
        successor = grants.next_token(self.server.connection, self.server.vault, family.id, used)
        return _tokens_of(self.server, family, scopes) | {"refresh_token": successor}

    def revoke_old_credential(self, refresh_token: FamilyInHand) -> None:
        """Use up the refresh token; a second use that is no repetition ends the family."""
        grants.use_up(self.server.connection, self.request.form["refresh_token"])


class FamilyInHand:
    """A refresh token's family as authlib asks about it."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def check_client(self, client: Any) -> bool:
        """Whether the family belongs to this client."""
        return bool(self.family.client_id == client.registered.id)

    def get_scope(self) -> str:
        """The family's scopes; a request may not exceed them."""
        return " ".join(sorted(self.family.scopes))


class PartnerGrant(ClientCredentialsGrant):  # type: ignore[misc]
    """A partner acts for itself."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS[:2]

    def generate_token(self, scope: str | None = None, **_: Any) -> dict[str, Any]:
        """An access token for the client itself, with its registered roles; there is no refresh token.

        Raises:
            InvalidScopeError: The client may not request these scopes.
        """
        client = self.request.client
        allowed = client.get_allowed_scope(scope)
        if allowed is None:
            raise InvalidScopeError()
        registered = client.registered
        scopes = scopes_of(allowed)
        principal = Principal(registered.id, registered.roles, scopes=scopes, client_id=registered.id, is_proven=True)
        return _answer(self.server.tokens.issue(principal, rights.now(self.server.connection)), scopes)


class IdTokens(OpenIDCode):  # type: ignore[misc]
    """Adds an id_token where the scope has `openid`."""

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        """The client checks whether it is used again: it is bound to the client's session, not to ours."""
        return False

    def encode_id_token(self, token: dict[str, Any], request: Any) -> str:
        """The signed ID token: who logged in and when, with the claims that the scopes allow.

        It lives as long as an access token, and repeats the request's `nonce`. The client's registration says how it is
        signed.
        """
        code: Code = request.authorization_code.code
        now = int(time.time())
        claims = {
            "iss": request.issuer,
            "aud": str(code.client_id),
            "sub": str(code.user_id),
            "iat": now,
            "exp": now + LIFETIME,
            "auth_time": int(code.logged_in_at.timestamp()),
        }
        if code.nonce:
            claims["nonce"] = code.nonce
        account = accounts.of_user(request.connection, request.vault, code.user_id)
        assert account is not None  # the code would have gone with its person
        algorithm = request.client.id_token_signed_response_alg
        return str(request.sign(claims | about_user(account, code.scopes), algorithm))


def about_user(account: Account, scopes: frozenset[Scope]) -> dict[str, Any]:
    """The standard claims (OpenID Connect Core, 5.1) that these scopes allow."""
    name = {"name": account.profile.name} if Scope.PROFILE in scopes else {}
    if Scope.EMAIL not in scopes:
        return name
    return name | {"email": account.profile.email, "email_verified": account.verified_at is not None}


def _tokens_of(server: Any, family: Family, scopes: frozenset[Scope]) -> dict[str, Any]:
    granted = rights.of_user(server.connection, family.user_id)
    assert granted is not None  # the family would have gone with its person
    principal = Principal(
        family.user_id,
        granted.roles & ROLES_OF_CLIENTS,
        granted.teams,
        scopes=scopes,
        session_id=family.id,
        client_id=family.client_id,
        is_proven=granted.is_proven,
    )
    return _answer(server.tokens.issue(principal, granted.at), scopes)


def _answer(access_token: str, scopes: frozenset[Scope]) -> dict[str, Any]:
    return {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": LIFETIME,
        "scope": " ".join(sorted(scopes)),
    }
