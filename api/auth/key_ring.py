"""Keys that sign tokens (Ed25519): made, sealed, rotated, and read back as a ring."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final, cast

from joserfc.jwk import OKPKey
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.sealing import seal, unseal
from api.auth.tokens import LIFETIME, KeyRing
from config.settings import Settings, secret
from db.identity import keys
from db.identity.keys import StoredKey

KEPT: Final = timedelta(seconds=LIFETIME + 60)
"""How long a key stays published after its successor has begun to sign: the last token may be that old."""

PUBLISHED_AHEAD: Final = timedelta(seconds=300)
"""How long a key is published before it signs, which is how long clients may cache our key set (`max-age`)."""


async def add_key(connection: AsyncConnection, settings: Settings, signs_after: timedelta) -> str:
    """Make and publish a key that signs after that time; return its `kid`."""
    key = OKPKey.generate_key("Ed25519", auto_kid=True)
    public = cast("dict[str, Any]", key.as_dict(private=False)) | {"use": "sig", "alg": "EdDSA"}
    sealed = seal(_secrets(settings), json.dumps(key.as_dict(private=True)).encode(), str(key.kid))
    await keys.add(connection, str(key.kid), public, sealed, signs_after=signs_after)
    return str(key.kid)


async def rotate(connection: AsyncConnection, settings: Settings, signs_after: timedelta) -> str:
    """Add the key that takes over, and delete keys that no valid token can need; return the new `kid`."""
    kid = await add_key(connection, settings, signs_after)
    await keys.forget(connection, await keys.live(connection, kept=KEPT))
    return kid


async def ensure_key(connection: AsyncConnection, settings: Settings) -> None:
    """Make the first key, if none can sign."""
    if not any(key.signs for key in await keys.live(connection, kept=KEPT)):
        await add_key(connection, settings, timedelta())


async def read_ring(connection: AsyncConnection, settings: Settings) -> KeyRing:
    """The live keys, with the private part of the one that signs now."""
    return ring(await keys.live(connection, kept=KEPT), settings)


def ring(stored: Iterable[StoredKey], settings: Settings) -> KeyRing:
    """A ring of these keys, in their order of age."""
    stored = list(stored)
    signing = next((key for key in reversed(stored) if key.signs), None)
    return KeyRing(tuple(key.public for key in stored), _private(signing, settings) if signing else None)


def _private(key: StoredKey, settings: Settings) -> OKPKey:
    return OKPKey.import_key(json.loads(unseal(_secrets(settings), key.sealed, key.kid)))


def _secrets(settings: Settings) -> str:
    return secret(settings.token_key_secret)
