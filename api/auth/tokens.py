"""Access tokens (RFC 9068, signed with Ed25519): their content, and how they are issued and checked."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry
from uuid_utils import uuid7

from api.auth.id_tokens import ID_TOKEN, NO_KEYS, IdTokenKeys
from domain.identity import Role, Scope, SigningAlgorithm, TeamRole
from domain.problems import ProblemType, Refused

LIFETIME: Final = 15 * 60
AUDIENCE: Final = "seatwright"
ALGORITHM: Final = SigningAlgorithm.ED_DSA
FIRST_PARTY: Final = "seatwright"
"""The `client_id` of tokens that our own log-in gave."""

_TYPE: Final = "at+jwt"
_TOKENS_KNOWN: Final = 10_000  # whose signature was checked already, which costs 0.2 ms
_NO_TEAMS: Mapping[UUID, TeamRole] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Principal:
    """The person or client that a request acts for, and what its token allows.

    Attributes:
        user_id: The person, or the client itself where it acts for no person (`client_credentials`).
        teams: The organizers' teams that the person belongs to.
        session_id: The log-in or the family of refresh tokens that the token comes from; the token ends with it.
        client_id: The third-party application that holds the token; None for our own log-in.
        is_proven: The person had proven the email address when the token was issued; a client that acts for itself
            always has.
    """

    user_id: UUID
    roles: frozenset[Role]
    teams: Mapping[UUID, TeamRole] = field(default_factory=lambda: _NO_TEAMS)
    scopes: frozenset[Scope] = frozenset({Scope.FIRST_PARTY})
    session_id: UUID | None = None
    client_id: UUID | None = None
    is_proven: bool = False


class UnknownKey(Refused):
    """A token whose header none of the known keys writes; the key may be too new to be known here."""


class Claims(NamedTuple):
    """What a valid token says."""

    principal: Principal
    id: UUID
    expires_at: int

    @property
    def issued_at(self) -> float:
        """To the millisecond, which `iat` is not: the token's id is a UUIDv7."""
        return (self.id.int >> 80) / 1000


class KeyRing:
    """The current keys: all that check access tokens, the one that signs, if this process may sign, and the RSA keys.

    The RSA keys are apart, because no access token may be checked with them.
    """

    def __init__(
        self,
        published: tuple[Mapping[str, Any], ...] = (),
        signer: OKPKey | None = None,
        id_tokens: IdTokenKeys = NO_KEYS,
    ) -> None:
        self.published = published
        self.signer = signer
        self.id_tokens = id_tokens
        self._by_header = {_first_segment(_header(_TYPE, key["kid"])): _import(key) for key in published}

    def sign(self, claims: dict[str, Any], type: str) -> str:
        """A JWT of that `typ`.

        Raises:
            ConnectionError: No signing key has been read yet.
        """
        if self.signer is None:
            raise ConnectionError("no signing key has been read yet")
        return jwt.encode(_header(type, str(self.signer.kid)), claims, self.signer, registry=_ED_DSA)

    def sign_id_token(self, claims: dict[str, Any], algorithm: SigningAlgorithm) -> str:
        """An id token for a client that is registered for this algorithm; raises as `sign` does."""
        return self.sign(claims, ID_TOKEN) if algorithm is ALGORITHM else self.id_tokens.sign(claims)

    def decoded(self, token: str) -> dict[str, Any]:
        """The claims of a token that one of these keys has signed; the claims are not checked.

        The header must match a header of our own keys to the byte. So a token cannot choose how it is checked: neither
        by `alg` nor by `jku`, `jwk`, `x5u` or another type of token.
        """
        key = self._by_header.get(token.partition(".")[0])
        if key is None:
            raise UnknownKey(ProblemType.UNAUTHENTICATED, _NOT_VALID, error="invalid_token")
        return jwt.decode(token, key, registry=_ED_DSA).claims


class AccessTokens:
    """Issues and reads access tokens with the latest known keys and revocations."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.revoked: Mapping[UUID, float] = {}
        self._registry = _Registry(
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": AUDIENCE},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            jti={"essential": True},
            client_id={"essential": True},
            scope={"essential": True},
        )
        self.ring = KeyRing()

    @property
    def ring(self) -> KeyRing:
        """The keys; a new ring checks every token again."""
        return self._ring

    @ring.setter
    def ring(self, ring: KeyRing) -> None:
        self._ring = ring
        self._checked = lru_cache(_TOKENS_KNOWN)(self._check)

    def issue(self, principal: Principal, at: float | None = None) -> str:
        """A token for the principal.

        Args:
            principal: The identity, roles and scopes that the token carries.
            at: Seconds since the epoch by the database's clock, which revocations use; None for this process's clock.

        Raises:
            ConnectionError: No signing key has been read yet.
        """
        now = time.time() if at is None else at
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": str(principal.user_id),
            "client_id": str(principal.client_id or FIRST_PARTY),
            "scope": " ".join(sorted(principal.scopes)),
            "roles": sorted(principal.roles),
            "iat": int(now),
            "exp": int(now) + LIFETIME,
            "jti": str(uuid7(nanoseconds=int(now * 1e9))),
        }
        if principal.teams:
            claims["teams"] = {str(team): role for team, role in principal.teams.items()}
        if principal.session_id:
            claims["sid"] = str(principal.session_id)
        if principal.is_proven:
            claims["email_verified"] = True
        return self._ring.sign(claims, _TYPE)

    def read(self, token: str) -> Principal:
        """The principal that a token acts for.

        Raises:
            UnknownKey: No known key has signed it.
            Refused: It is not valid, it has expired, or it was revoked.
        """
        return self.claims(token).principal

    def claims(self, token: str) -> Claims:
        """All claims of a valid token; raises as `read` does."""
        try:
            claims = self._checked(token)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise invalid_token() from error
        if time.time() >= claims.expires_at or self._is_revoked(claims):
            raise invalid_token()
        return claims

    def _check(self, token: str) -> Claims:
        """What a token says. Only valid tokens are cached: they stay valid until they expire or are revoked."""
        said = self._ring.decoded(token)
        self._registry.validate(said)
        client, session = said["client_id"], said.get("sid")
        principal = Principal(
            user_id=UUID(said["sub"]),
            roles=frozenset(map(Role, said["roles"])),
            teams={UUID(team): TeamRole(role) for team, role in said.get("teams", {}).items()},
            scopes=frozenset(map(Scope, said["scope"].split())),
            session_id=UUID(session) if session else None,
            client_id=None if client == FIRST_PARTY else UUID(client),
            is_proven=said.get("email_verified") is True,
        )
        return Claims(principal, UUID(said["jti"]), int(said["exp"]))

    def _is_revoked(self, claims: Claims) -> bool:
        revoked = self.revoked
        if not revoked:
            return False
        principal = claims.principal
        # A session that has ended never begins again, but a person may get a new token with fewer roles.
        return (
            claims.id in revoked
            or principal.session_id in revoked
            or claims.issued_at <= revoked.get(principal.user_id, 0.0)
            or (principal.client_id is not None and claims.issued_at <= revoked.get(principal.client_id, 0.0))
        )

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517) with which anyone can check our tokens."""
        return {"keys": [*self._ring.published, *self._ring.id_tokens.published]}


class _Registry(jwt.JWTClaimsRegistry):
    def validate_iat(self, value: object) -> None:
        """A token may come from a process whose clock is ahead: `exp` alone limits its life (RFC 7519)."""


_NOT_VALID = "The access token is invalid or has expired. Log in again."


def invalid_token() -> Refused:
    """The answer to a token that is malformed, expired, revoked or not ours: 401, with the `error` of RFC 6750."""
    return Refused(ProblemType.UNAUTHENTICATED, _NOT_VALID, error="invalid_token")


def _header(type: str, kid: str) -> dict[str, Any]:
    return {"typ": type, "alg": ALGORITHM, "kid": kid}  # in joserfc's order


def _first_segment(header: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(header)).rstrip(b"=").decode()


def _import(public: Mapping[str, Any]) -> OKPKey:
    """The key for checking; without `use` and `alg`, which are for others to read."""
    return OKPKey.import_key({name: public[name] for name in ("kty", "crv", "x")})


def _only_ed_dsa() -> JWSRegistry:
    algorithm = copy(JWSRegistry.algorithms[ALGORITHM])
    # It is the name that clients' libraries know; joserfc would warn that RFC 9864 prefers "Ed25519".
    algorithm.security_warning = None
    registry = JWSRegistry(algorithms=[ALGORITHM])
    registry.algorithms = {ALGORITHM: algorithm}
    return registry


_ED_DSA = _only_ed_dsa()
