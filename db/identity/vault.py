"""Encrypts personal data under one key for each person. Deleting that key erases the person everywhere.

AES-256-GCM. A person's key is in `user_keys`, wrapped by a master key that the database does not have. Sealed data is
bound to its owner and its purpose, so that it cannot be swapped.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.addresses import address_key
from domain.names import person_key

_NONCE: Final = 12
_NAME: Final = 4  # bytes by which a wrapped key names its master key


class PersonalKey:
    """The unwrapped key of one person."""

    def __init__(self, user_id: UUID, key: bytes) -> None:
        self._user_id = user_id
        self._cipher = AESGCM(key)

    def seal(self, purpose: str, plain: bytes) -> bytes:
        """Encrypt data of this person; only `open` with the same purpose decrypts it."""
        return _seal(self._cipher, plain, self._bound(purpose))

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Open data that was sealed for this person and purpose.

        Raises:
            cryptography.exceptions.InvalidTag: It was sealed for another one, or was changed.
        """
        return _open(self._cipher, sealed, self._bound(purpose))

    def _bound(self, purpose: str) -> bytes:
        return self._user_id.bytes + purpose.encode()


class Vault:
    """Makes and opens people's keys, and finds accounts by address without storing the address.

    Args:
        masters: Secrets that wrap people's keys; the first wraps new ones, the others still open what they wrapped.
        index: The secret under which addresses are hashed. It cannot be replaced: no person could log in.
    """

    def __init__(self, masters: Sequence[str], index: str) -> None:
        keys = [_derived(master, "master key") for master in masters]
        self._masters = {_name(key): AESGCM(key) for key in keys}
        self._newest = _name(keys[0])
        self._index = _derived(index, "addresses")
        self._tokens = _derived(index, "mail tokens")
        self._refreshes = _derived(index, "refresh tokens")

    def new_key(self, user_id: UUID) -> tuple[PersonalKey, bytes]:
        """A new person's key, and its wrapped form to store."""
        key = AESGCM.generate_key(256)
        return PersonalKey(user_id, key), self._wrapped(user_id, key)

    def unwrap(self, user_id: UUID, wrapped: bytes) -> PersonalKey:
        """The person's key.

        Raises:
            KeyError: Its master key is not configured any more.
        """
        master = self._masters[wrapped[:_NAME]]
        return PersonalKey(user_id, _open(master, wrapped[_NAME:], user_id.bytes))

    def rewrapped(self, user_id: UUID, wrapped: bytes) -> bytes | None:
        """The key wrapped by the newest master key; None where it is already.

        Raises:
            KeyError: Its master key is not configured any more.
        """
        if wrapped[:_NAME] == self._newest:
            return None
        key = _open(self._masters[wrapped[:_NAME]], wrapped[_NAME:], user_id.bytes)
        return self._wrapped(user_id, key)

    def _wrapped(self, user_id: UUID, key: bytes) -> bytes:
        return self._newest + _seal(self._masters[self._newest], key, user_id.bytes)

    def address_hash(self, email: str) -> bytes:
        """The hash by which an account is found; the same for all spellings of the address."""
        return hmac.digest(self._index, address_key(email).encode(), sha256)

    def name_hash(self, name: str) -> bytes:
        """The hash by which accounts are found; the same for all spellings of a whole name."""
        return hmac.digest(self._index, b"name " + person_key(name).encode(), sha256)

    def mail_token(self, token_id: UUID) -> str:
        """The secret of a mail. It is derived again for each delivery of the mail, and stored nowhere."""
        return hmac.new(self._tokens, token_id.bytes, sha256).hexdigest()

    def refresh_token_after(self, refresh_token: str) -> str:
        """The next refresh token. It is derived, so that a repeated refresh gets the same one; it is stored nowhere."""
        derived = hmac.digest(self._refreshes, refresh_token.encode(), sha256)
        return urlsafe_b64encode(derived).rstrip(b"=").decode()


def _derived(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"seatwright {purpose}".encode(), sha256)


def _name(key: bytes) -> bytes:
    return sha256(key).digest()[:_NAME]


def _seal(cipher: AESGCM, plain: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + cipher.encrypt(nonce, plain, bound)


def _open(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
