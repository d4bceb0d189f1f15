"""Forged, stale and misused access tokens: none of them is believed, and each is refused in the same way."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws, jwt
from joserfc.jwk import OctKey, OKPKey, RSAKey
from uuid_utils import uuid7

from api.auth.tokens import LIFETIME, AccessTokens, Principal
from config.settings import Settings
from domain.identity import Role
from tests.api.people import problem
from tests.tokens import access_tokens

Forge = Callable[[AccessTokens], str]


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()


def claims(tokens: AccessTokens, **other: Any) -> dict[str, Any]:
    """What a good token says, but for `other`; None leaves a claim out."""
    now = int(time.time())
    said = {
        "iss": tokens.issuer,
        "aud": "seatwright",
        "sub": str(uuid4()),
        "client_id": "seatwright",
        "scope": "seatwright",
        "roles": ["customer", "operator"],
        "iat": now,
        "exp": now + LIFETIME,
        "jti": str(uuid7()),
    }
    return {name: value for name, value in (said | other).items() if value is not None}


def header(tokens: AccessTokens, **other: Any) -> dict[str, Any]:
    assert tokens.ring.signer is not None
    return {"typ": "at+jwt", "alg": "EdDSA", "kid": tokens.ring.signer.kid} | other


def signed(tokens: AccessTokens, **other: Any) -> str:
    """Signed by our own key, as only we can, with other claims."""
    return tokens.ring.sign(claims(tokens, **other), "at+jwt")


def signed_by_us_with(tokens: AccessTokens, **more: Any) -> str:
    """Signed by our own key, with more in its header."""
    signer = tokens.ring.signer
    assert signer is not None
    own = signer.as_dict(private=True)["d"]
    assert isinstance(own, str)
    private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(own + "=="))
    what = f"{encoded(header(tokens, **more))}.{encoded(claims(tokens))}"
    return f"{what}.{base64.urlsafe_b64encode(private.sign(what.encode())).rstrip(b'=').decode()}"


def unsigned(tokens: AccessTokens, alg: str, signature: str = "") -> str:
    return f"{encoded(header(tokens, alg=alg))}.{encoded(claims(tokens))}.{signature}"


def with_public_key_as_secret(tokens: AccessTokens, secret: bytes) -> str:
    """The confusion of RS/EdDSA and HS: our public key, used as a shared secret."""
    return jwt.encode(header(tokens, alg="HS256"), claims(tokens), OctKey.import_key(secret), algorithms=["HS256"])


def by_stranger(tokens: AccessTokens, **more: Any) -> str:
    """A good signature, of a key of the attacker's own, which the header praises."""
    key = OKPKey.generate_key("Ed25519")
    offered = {name: (key.as_dict(private=False) if value is ... else value) for name, value in more.items()}
    registry = jws.JWSRegistry(algorithms=["EdDSA"], strict_check_header=False)
    return jwt.encode(header(tokens, **offered), claims(tokens), key, registry=registry)


def public_x(tokens: AccessTokens) -> bytes:
    return base64.urlsafe_b64decode(str(tokens.ring.published[-1]["x"]) + "==")


def swapped_payload(tokens: AccessTokens) -> str:
    head, _, tail = signed(tokens, roles=["customer"]).split(".")
    return f"{head}.{encoded(claims(tokens))}.{tail}"


def rs256(tokens: AccessTokens) -> str:
    return jwt.encode(header(tokens, alg="RS256"), claims(tokens), RSAKey.generate_key(2048), algorithms=["RS256"])


def key_for_id_tokens(tokens: AccessTokens) -> RSAKey:
    signer = tokens.ring.id_tokens.signer
    assert signer is not None
    return signer


def by_key_for_id_tokens(tokens: AccessTokens) -> str:
    """Our own good signature, but by a key that signs id tokens alone."""
    key = key_for_id_tokens(tokens)
    return jwt.encode(header(tokens, alg="RS256", kid=key.kid), claims(tokens), key, algorithms=["RS256"])


FORGERIES: dict[str, Forge] = {
    "alg none": lambda tokens: unsigned(tokens, "none"),
    "alg None, in another case": lambda tokens: unsigned(tokens, "nOnE"),
    "alg none with a signature": lambda tokens: unsigned(tokens, "none", "AAAA"),
    "no signature": lambda tokens: unsigned(tokens, "EdDSA"),
    "another algorithm's name": lambda tokens: unsigned(tokens, "RS256", "AAAA"),
    "HS256 with our public key as secret": lambda tokens: with_public_key_as_secret(tokens, public_x(tokens)),
    "HS256 with our public JWK as secret": lambda tokens: with_public_key_as_secret(
        tokens, json.dumps(dict(tokens.ring.published[-1])).encode()
    ),
    "RS256 by a stranger": rs256,
    "a stranger's key under our kid": lambda tokens: by_stranger(tokens),
    "a stranger's key under its own kid": lambda tokens: by_stranger(tokens, kid="mine"),
    "kid is a path": lambda tokens: by_stranger(tokens, kid="../../../../dev/null"),
    "kid is SQL": lambda tokens: by_stranger(tokens, kid="' OR 1=1 --"),
    "kid is a URL": lambda tokens: by_stranger(tokens, kid="https://evil.example.test/key"),
    "jwk in the header": lambda tokens: by_stranger(tokens, jwk=...),
    "jku in the header": lambda tokens: by_stranger(tokens, jku="https://evil.example.test/jwks.json"),
    "x5u in the header": lambda tokens: by_stranger(tokens, x5u="https://evil.example.test/chain.pem"),
    "x5c in the header": lambda tokens: by_stranger(tokens, x5c=["MIIB"]),
    "our signature, and jku": lambda tokens: signed_by_us_with(tokens, jku="https://evil.example.test/jwks.json"),
    "our signature, and crit": lambda tokens: signed_by_us_with(tokens, crit=["exp"]),
    "an id_token": lambda tokens: tokens.ring.sign(claims(tokens), "JWT"),
    "an id_token by RS256": lambda tokens: tokens.ring.id_tokens.sign(claims(tokens)),
    "an access token by our own key for id_tokens": by_key_for_id_tokens,
    "its kid under EdDSA": lambda tokens: by_stranger(tokens, kid=str(key_for_id_tokens(tokens).kid)),
    "another typ": lambda tokens: tokens.ring.sign(claims(tokens), "refresh+jwt"),
    "another payload under a good signature": swapped_payload,
    "another issuer": lambda tokens: signed(tokens, iss="https://evil.example.test"),
    "no issuer": lambda tokens: signed(tokens, iss=None),
    "another audience": lambda tokens: signed(tokens, aud="https://other.example.test"),
    "no audience": lambda tokens: signed(tokens, aud=None),
    "expired": lambda tokens: signed(tokens, exp=int(time.time()) - 1),
    "without an end": lambda tokens: signed(tokens, exp=None),
    "not valid yet": lambda tokens: signed(tokens, nbf=int(time.time()) + 600),
    "a role that there is not": lambda tokens: signed(tokens, roles=["root"]),
    "a scope that there is not": lambda tokens: signed(tokens, scope="everything"),
    "without a subject": lambda tokens: signed(tokens, sub=None),
    "a subject that is no id": lambda tokens: signed(tokens, sub="admin"),
    "without an id": lambda tokens: signed(tokens, jti=None),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.filterwarnings("ignore:.*EdDSA.*")
async def test_a_forged_or_stale_token_is_refused(settings: Settings, client: httpx2.AsyncClient, forgery: str) -> None:
    token = FORGERIES[forgery](access_tokens(settings, id_tokens=True))
    for method, path in (("GET", "/v1/me"), ("POST", "/v1/bookings"), ("GET", f"/v1/events/{uuid4()}")):
        answer = await client.request(method, path, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, problem(answer)) == (401, "unauthenticated")
        assert answer.json()["error"] == "invalid_token"
        assert answer.json()["detail"] == "The access token is invalid or has expired. Log in again."


async def test_the_same_tokens_are_accepted_where_nothing_is_wrong_with_them(
    settings: Settings, client: httpx2.AsyncClient
) -> None:
    """The negative control: it is the flaw that is refused, and not how the tests make tokens."""
    tokens = access_tokens(settings)
    for token in (
        signed(tokens),
        signed_by_us_with(tokens),
        tokens.issue(Principal(uuid4(), frozenset({Role.CUSTOMER}))),
    ):
        answer = await client.get("/v1/me/bookings", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200


async def test_a_token_that_was_good_is_refused_when_its_time_is_up(settings: Settings) -> None:
    tokens = access_tokens(settings)
    token = signed(tokens, exp=int(time.time()) + 60)
    assert tokens.read(token).roles == {Role.CUSTOMER, Role.OPERATOR}
    late = AccessTokens(settings.api_url)
    late.ring = tokens.ring
    assert late.read(token)
    with pytest.MonkeyPatch.context() as patch:
        now = time.time
        patch.setattr(time, "time", lambda: now() + 61)
        with pytest.raises(Exception, match="invalid or has expired"):
            late.read(token)
