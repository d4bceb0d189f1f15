"""Seals small secrets for the database: AES-256-GCM under a key from the settings, bound to what they are about."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE: Final = 12


def seal(secrets: str, plain: bytes, about: str) -> bytes:
    """Encrypt under the first of the comma-separated secrets; it opens only with the same `about`."""
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(secrets.split(",")[0]).encrypt(nonce, plain, about.encode())


def unseal(secrets: str, sealed: bytes, about: str) -> bytes:
    """What was sealed under any of the secrets.

    Raises:
        ValueError: None of them opens it, or it was sealed for something else.
    """
    for each in secrets.split(","):
        try:
            return _cipher(each).decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except InvalidTag:
            continue
    raise ValueError(f"no secret opens what was sealed for {about!r}")


def _cipher(secret: str) -> AESGCM:
    # The secret is random, not a password, so one hash makes a key of it.
    return AESGCM(sha256(b"seatwright-seal:" + secret.encode()).digest())
