"""Keys that sign id tokens by RS256, which every library of OpenID Connect can check; they sign no access token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from joserfc import jwt
from joserfc.jwk import RSAKey

from domain.identity import SigningAlgorithm

ID_TOKEN: Final = "JWT"
"""The `typ` of an id token: no access token has it."""


class IdTokenKeys(NamedTuple):
    """The current RSA keys: all that are published, and the one that signs, if this process may sign."""

    published: tuple[Mapping[str, Any], ...] = ()
    signer: RSAKey | None = None

    def sign(self, claims: dict[str, Any]) -> str:
        """An id token.

        Raises:
            ConnectionError: No signing key has been read yet.
        """
        if self.signer is None:
            raise ConnectionError("no key for id tokens has been read yet")
        header = {"typ": ID_TOKEN, "alg": SigningAlgorithm.RS256, "kid": str(self.signer.kid)}
        return jwt.encode(header, claims, self.signer, algorithms=[SigningAlgorithm.RS256])


NO_KEYS: Final = IdTokenKeys()
"""Of processes that sign no id tokens."""
