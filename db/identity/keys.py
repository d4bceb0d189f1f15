"""The keys that sign tokens. Each is published before it signs, and until all its tokens have expired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.tables import SigningKeyRow


class StoredKey(NamedTuple):
    """A stored key.

    Attributes:
        public: The public JWK (RFC 7517), with `kid`.
        sealed: The private part, encrypted under the master secret.
        signs: Whether it may sign already; the newest of these keys signs.
    """

    kid: str
    public: dict[str, Any]
    sealed: bytes
    signs: bool


_LIVE = """
SELECT kid, public, sealed, signs_from <= clock_timestamp() AS signs FROM signing_keys AS key
WHERE revoked_at IS NULL AND NOT EXISTS (
    SELECT FROM signing_keys AS heir
    WHERE heir.revoked_at IS NULL AND heir.signs_from > key.signs_from AND heir.signs_from < clock_timestamp() - :kept
)
ORDER BY signs_from
"""


async def live(connection: AsyncConnection, *, kept: timedelta) -> Sequence[StoredKey]:
    """The keys to publish, oldest first. Each stays for `kept` after its successor begins to sign."""
    rows = await connection.execute(text(_LIVE), {"kept": kept})
    return [StoredKey(*row) for row in rows]


async def add(
    connection: AsyncConnection, kid: str, public: dict[str, Any], sealed: bytes, *, signs_after: timedelta
) -> None:
    """Publish a key that signs from then on."""
    await connection.execute(
        insert(SigningKeyRow).values(
            kid=kid,
            public=public,
            sealed=sealed,
            signs_from=func.clock_timestamp() + signs_after,
        )
    )


async def forget(connection: AsyncConnection, kept: Sequence[StoredKey]) -> None:
    """Delete the private parts of keys that are not needed any more."""
    await connection.execute(
        text("DELETE FROM signing_keys WHERE kid <> ALL(:kept)"), {"kept": [key.kid for key in kept]}
    )


async def revoke(connection: AsyncConnection, kid: str) -> bool:
    """End a key, and with it every token that it signed, at once; False if there is no such live key."""
    ended = await connection.execute(
        text("UPDATE signing_keys SET revoked_at = now() WHERE kid = :kid AND revoked_at IS NULL RETURNING kid"),
        {"kid": kid},
    )
    return ended.one_or_none() is not None
