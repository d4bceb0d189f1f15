"""Keys that sign tokens (Ed25519, and RSA for id tokens): made, sealed, rotated, and read back as a ring."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from joserfc.jwk import OKPKey, RSAKey
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.id_tokens import IdTokenKeys
from api.auth.sealing import seal, unseal
from api.auth.tokens import LIFETIME, KeyRing
from config.settings import Settings, secret
from db.identity import keys
from db.identity.keys import StoredKey
from domain.identity import SigningAlgorithm

KEPT: Final = timedelta(seconds=LIFETIME + 60)
"""How long a key stays published after its successor has begun to sign: the last token may be that old."""

PUBLISHED_AHEAD: Final = timedelta(seconds=300)
"""How long a key is published before it signs, which is how long clients may cache our key set (`max-age`)."""

_RSA_BITS: Final = 2048


async def add_key(
    connection: AsyncConnection, algorithm: SigningAlgorithm, settings: Settings, signs_after: timedelta
) -> str:
    """Make and publish a key that signs after that time; return its `kid`."""
    key = _new_key(algorithm)
    kid, public = str(key.kid), cast("dict[str, Any]", key.as_dict(private=False))
    sealed = seal(_secrets(settings), _exported(key), kid)
    public |= {"use": "sig", "alg": algorithm}
    await keys.add(connection, algorithm, kid, public, sealed, signs_after=signs_after)
    return kid


async def rotate(
    connection: AsyncConnection, settings: Settings, signs_after: timedelta
) -> Mapping[SigningAlgorithm, str]:
    """Add a key of each algorithm that takes over, and delete those that no valid token can need; return each `kid`."""
    added = {each: await add_key(connection, each, settings, signs_after) for each in SigningAlgorithm}
    for algorithm in added:
        await keys.forget(connection, algorithm, await keys.live(connection, algorithm, kept=KEPT))
    return added


async def replace(connection: AsyncConnection, settings: Settings, kid: str) -> bool:
    """End a key at once, and let a new one of its algorithm sign; False if there is no such key."""
    for algorithm in SigningAlgorithm:
        if await keys.revoke(connection, algorithm, kid):
            await add_key(connection, algorithm, settings, timedelta())
            return True
    return False


async def ensure_keys(connection: AsyncConnection, settings: Settings) -> None:
    """Make the first key of each algorithm, if none can sign."""
    for algorithm in SigningAlgorithm:
        if not any(key.signs for key in await keys.live(connection, algorithm, kept=KEPT)):
            await add_key(connection, algorithm, settings, timedelta())


async def read_ring(connection: AsyncConnection, settings: Settings) -> KeyRing:
    """The live keys, with the private parts of those that sign now."""
    stored = await keys.live(connection, SigningAlgorithm.ED_DSA, kept=KEPT)
    return ring(stored, settings, await keys.live(connection, SigningAlgorithm.RS256, kept=KEPT))


def ring(stored: Iterable[StoredKey], settings: Settings, for_id_tokens: Iterable[StoredKey] = ()) -> KeyRing:
    """A ring of these keys, in their order of age."""
    published, newest = _split(stored)
    rsa_published, rsa_newest = _split(for_id_tokens)
    return KeyRing(
        published,
        OKPKey.import_key(json.loads(_opened(newest, settings))) if newest else None,
        IdTokenKeys(rsa_published, _rsa_key(rsa_newest, settings) if rsa_newest else None),
    )


def _split(stored: Iterable[StoredKey]) -> tuple[tuple[Mapping[str, Any], ...], StoredKey | None]:
    """The public parts, and the key that signs now."""
    stored = list(stored)
    return tuple(key.public for key in stored), next((key for key in reversed(stored) if key.signs), None)


def _new_key(algorithm: SigningAlgorithm) -> OKPKey | RSAKey:
    if algorithm is SigningAlgorithm.RS256:
        return RSAKey.generate_key(_RSA_BITS, auto_kid=True)
    return OKPKey.generate_key("Ed25519", auto_kid=True)


def _exported(key: OKPKey | RSAKey) -> bytes:
    """The private part, to be sealed."""
    if isinstance(key, RSAKey):
        return key.as_bytes(encoding="DER", private=True)
    return json.dumps(key.as_dict(private=True)).encode()


def _rsa_key(key: StoredKey, settings: Settings) -> RSAKey:
    # The check of an RSA key takes 0.1 s of the event loop, every second; the seal says already that it is our own.
    private = load_der_private_key(_opened(key, settings), None, unsafe_skip_rsa_key_validation=True)
    return RSAKey.import_key(cast("RSAPrivateKey", private), {"kid": key.kid})


def _opened(key: StoredKey, settings: Settings) -> bytes:
    return unseal(_secrets(settings), key.sealed, key.kid)


def _secrets(settings: Settings) -> str:
    return secret(settings.token_key_secret)
