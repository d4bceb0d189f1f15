"""Who is calling: access tokens (JWT signed with Ed25519), and what a route asks of its caller."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable, Coroutine, Iterable
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry
from uuid_utils import uuid7

from config.settings import Settings, secret
from domain.identity import Role
from domain.problems import ProblemType, Refused

_TOKENS_KNOWN: Final = 10_000  # whose signature was checked already, which costs 0.2 ms
LIFETIME: Final = 15 * 60
AUDIENCE: Final = "seatwright"
_ALGORITHM: Final = "EdDSA"
_TYPE: Final = "at+jwt"
_KEY_USE: Final = {"use": "sig", "alg": _ALGORITHM}


@dataclass(frozen=True, slots=True)
class Principal:
    """The person on whose behalf a request is made."""

    user_id: UUID
    roles: frozenset[Role]


class _Claims(jwt.JWTClaimsRegistry):
    def validate_iat(self, value: object) -> None:
        """A token may come from a process whose clock is ahead of ours: `exp` alone bounds its life (RFC 7519)."""


class AccessTokens:
    """Issues and reads access tokens of one key; nothing in a token chooses how it is checked."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.api_url
        self._private = _load(secret(settings.token_private_key))
        self._public = OKPKey.import_key(self._private.as_dict(private=False))
        self._header = {"alg": _ALGORITHM, "typ": _TYPE, "kid": self._private.thumbprint()}
        # Checked in full below; the registry adds the clock.
        self._verified = lru_cache(_TOKENS_KNOWN)(self._verify)
        self._claims = _Claims(
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": AUDIENCE},
            sub={"essential": True},
            iat={"essential": True},
            exp={"essential": True},
        )

    def issue(self, principal: Principal) -> str:
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": str(principal.user_id),
            "roles": sorted(principal.roles),
            "iat": now,
            "exp": now + LIFETIME,
            "jti": str(uuid7()),
        }
        return jwt.encode(dict(self._header), claims, self._private, registry=_ED_DSA)

    def read(self, token: str) -> Principal:
        """The principal that a token speaks for.

        Raises:
            Refused: The token is not one of ours, or its time is up.
        """
        try:
            principal, ends = self._verified(token)
            if time.time() >= ends:
                raise ExpiredTokenError("exp")
            return principal
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _unauthenticated("The access token is not valid, or not any more.", "invalid_token") from error

    def _verify(self, token: str) -> tuple[Principal, int]:
        """What a token says, and until when (seconds since the epoch); what is not valid is not remembered."""
        decoded = jwt.decode(token, self._public, registry=_ED_DSA)
        if decoded.header != self._header:
            raise ValueError("not a header that we write")
        self._claims.validate(decoded.claims)
        claims = decoded.claims
        return Principal(UUID(claims["sub"]), frozenset(map(Role, claims["roles"]))), int(claims["exp"])

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517) with which anyone can check our tokens."""
        return {"keys": [self._public.as_dict(private=False, kid=self._header["kid"], **_KEY_USE)]}


def _only_ed_dsa() -> JWSRegistry:
    algorithm = copy(JWSRegistry.algorithms[_ALGORITHM])
    # It is the name that clients' libraries know; joserfc would warn that RFC 9864 prefers "Ed25519".
    algorithm.security_warning = None
    registry = JWSRegistry(algorithms=[_ALGORITHM])
    registry.algorithms = {_ALGORITHM: algorithm}
    return registry


_ED_DSA = _only_ed_dsa()
_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="The `access_token` of `POST /v1/sessions`.")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def optional_user(request: Request, credentials: _Credentials) -> Principal | None:
    """The caller, or None without an Authorization header; a bad token is refused all the same."""
    if "authorization" not in request.headers:
        return None
    if credentials is None:
        raise _unauthenticated("The Authorization header has to be `Bearer <access token>`.", "invalid_request")
    tokens: AccessTokens = request.app.state.tokens
    return tokens.read(credentials.credentials)


async def current_user(principal: Annotated[Principal | None, Depends(optional_user)]) -> Principal:
    """The caller, who has to be logged in."""
    if principal is None:
        raise _unauthenticated("This call needs an access token.")
    return principal


Caller = Annotated[Principal, Depends(current_user)]
OptionalCaller = Annotated[Principal | None, Depends(optional_user)]


def require(*roles: Role) -> Callable[[Principal], Coroutine[None, None, Principal]]:
    """A dependency that admits callers with at least one of the roles."""

    async def admitted(caller: Caller) -> Principal:
        if caller.roles.isdisjoint(roles):
            raise Refused(ProblemType.FORBIDDEN, f"This call needs the role {_either(roles)}.")
        return caller

    return admitted


async def internal_caller(request: Request, credentials: _Credentials) -> None:
    """Admit our own processes only, which know `SEATWRIGHT_INTERNAL_TOKEN`."""
    expected = secret(request.app.state.settings.internal_token)
    given = credentials.credentials if credentials else ""
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise _unauthenticated("This call is for internal use.")


def _unauthenticated(detail: str, error: str | None = None) -> Refused:
    return Refused(ProblemType.UNAUTHENTICATED, detail, **({"error": error} if error else {}))


def _either(roles: Iterable[Role]) -> str:
    return " or ".join(roles)


def _load(seed: str) -> OKPKey:
    raw = base64.urlsafe_b64decode(seed + "=" * (-len(seed) % 4))
    public = Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "d": _base64url(raw), "x": _base64url(public)})


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
