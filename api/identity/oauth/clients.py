"""A registered client as authlib needs it."""

from __future__ import annotations

from uuid import UUID

from authlib.oauth2.rfc6749 import ClientMixin
from sqlalchemy import Connection

from db.identity import clients
from db.identity.clients import Client
from domain.identity import Scope, SigningAlgorithm


class OAuthClient(ClientMixin):  # type: ignore[misc]  # authlib has no types
    """Answers for one client."""

    def __init__(self, registered: Client) -> None:
        self.registered = registered

    def get_client_id(self) -> str:
        """The id as text, as it is on the wire."""
        return str(self.registered.id)

    @property
    def id_token_signed_response_alg(self) -> SigningAlgorithm:
        """How its id tokens are signed, as it was registered."""
        return self.registered.id_token_algorithm

    def get_default_redirect_uri(self) -> None:
        """None: every request has to name its redirect URI."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """The requested scopes, or else all scopes of the client; None if it requests none of them, or too many."""
        asked = set(scope.split()) if scope else set(self.registered.scopes)
        is_empty = bool(scope) and not asked
        return " ".join(sorted(asked)) if asked <= self.registered.scopes and not is_empty else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Exact comparison (RFC 9700, 2.1)."""
        return redirect_uri in self.registered.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether the secret is right, compared in constant time; never for a public client."""
        return self.registered.has_secret(client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """A client with a secret has to authenticate with it."""
        return (method == "none") == (self.registered.secret_hash is None)

    def check_response_type(self, response_type: str) -> bool:
        """Only `code`, and only for clients with the authorization code grant (RFC 9700, 2.1.2)."""
        return response_type == "code" and self.check_grant_type("authorization_code")

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client was registered for this grant."""
        return grant_type in self.registered.grants


def find(connection: Connection, client_id: str) -> OAuthClient | None:
    """The client of that id; None if there is none, or it was removed."""
    try:
        known = clients.find(connection, UUID(client_id))
    except ValueError:
        return None
    return OAuthClient(known) if known else None


def scopes_of(text: str) -> frozenset[Scope]:
    """The scopes in a request that a client was checked for."""
    return frozenset(map(Scope, text.split()))
