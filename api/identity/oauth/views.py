"""What the OAuth server answers: tokens, what a token is, its person, the keys and the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class OAuthTokens(BaseModel):
    """Tokens of a client, or the next ones of our own log-in."""

    access_token: str = Field(description="Send it as `Authorization: Bearer`.")
    token_type: Literal["Bearer"] = Field(description="The kind of the access token.")
    expires_in: int = Field(description="The lifetime of the access token in seconds.")
    refresh_token: str | None = Field(default=None, description="For the next tokens; left out where there is none.")
    scope: str | None = Field(default=None, description="What a client's tokens allow, with spaces between.")
    id_token: str | None = Field(default=None, description="Who has logged in; only with the scope `openid`.")


class Introspection(BaseModel):
    """What a token is (RFC 7662). A token that is not valid has `active` alone."""

    active: bool = Field(description="Whether the token is valid now.")
    client_id: str | None = Field(default=None, description="The client that has the token.")
    sub: str | None = Field(default=None, description="The person or the client that it is for.")
    scope: str | None = Field(default=None, description="What it allows, with spaces between.")
    iss: str | None = Field(default=None, description="This server.")
    iat: int | None = Field(default=None, description="When it was issued (Unix time in seconds).")
    exp: int | None = Field(default=None, description="When it ends (Unix time in seconds).")
    jti: str | None = Field(default=None, description="The token's id.")
    roles: list[str] | None = Field(default=None, description="The roles that it was issued with.")
    token_type: str | None = Field(default=None, description="`Bearer` or `refresh_token`.")


class Revocation(BaseModel):
    """The token does not work any more, whether or not it worked before."""


class UserInfo(BaseModel):
    """The person of a token; the scopes decide which fields there are."""

    sub: str = Field(description="The person's id.")
    name: str | None = Field(default=None, description="With the scope `profile`.")
    email: str | None = Field(default=None, description="With the scope `email`.")
    email_verified: bool | None = Field(default=None, description="With the scope `email`: whether it is confirmed.")


class PublicKey(BaseModel):
    """A public key (RFC 7517; Ed25519 by RFC 8037, RSA by RFC 7518)."""

    kid: str = Field(description="Its id, which each token names.")
    kty: str = Field(description="Its kind.", examples=["OKP", "RSA"])
    alg: str = Field(description="The algorithm that it signs with.", examples=["EdDSA", "RS256"])
    use: Literal["sig"] = Field(description="What it is for: signatures.")
    crv: str | None = Field(default=None, description="With Ed25519: its curve.", examples=["Ed25519"])
    x: str | None = Field(default=None, description="With Ed25519: the key itself, in base64url.")
    n: str | None = Field(default=None, description="With RSA: the modulus, in base64url.")
    e: str | None = Field(default=None, description="With RSA: the exponent, in base64url.", examples=["AQAB"])


class KeySet(BaseModel):
    """The public keys with which anyone can check our tokens."""

    keys: list[PublicKey] = Field(description="The current key, the next one, and those whose tokens may still live.")


class OpenIdConfiguration(BaseModel):
    """The addresses and capabilities of this server (OpenID Connect Discovery 1.0)."""

    issuer: str = Field(description="This server, as tokens name it.")
    authorization_endpoint: str = Field(description="Where a person allows a client something.")
    token_endpoint: str = Field(description="Where clients get tokens.")
    revocation_endpoint: str = Field(description="Where clients revoke tokens.")
    introspection_endpoint: str = Field(description="Where resource servers ask what a token is.")
    userinfo_endpoint: str = Field(description="Where clients read who the person is.")
    jwks_uri: str = Field(description="Where the public keys are.")
    scopes_supported: list[str] = Field(description="All scopes that clients may request.")
    response_types_supported: list[str] = Field(description="The kinds of authorization answers.")
    response_modes_supported: list[str] = Field(description="How authorization answers come back.")
    grant_types_supported: list[str] = Field(description="How clients get tokens.")
    token_endpoint_auth_methods_supported: list[str] = Field(description="How clients authenticate for tokens.")
    revocation_endpoint_auth_methods_supported: list[str] = Field(description="How clients authenticate there.")
    introspection_endpoint_auth_methods_supported: list[str] = Field(description="How resource servers authenticate.")
    code_challenge_methods_supported: list[str] = Field(description="The methods of PKCE.")
    subject_types_supported: list[str] = Field(description="How `sub` is chosen.")
    id_token_signing_alg_values_supported: list[str] = Field(description="The algorithms that sign id tokens.")
    claims_supported: list[str] = Field(description="All claims that id tokens and userinfo may have.")
