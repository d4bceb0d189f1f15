"""The keys that sign tokens. Each is published before it signs, and until all its tokens have expired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from db.identity.tables import IdTokenKeyRow, SigningKeyRow
from domain.identity import SigningAlgorithm

_TABLES: Final[Mapping[SigningAlgorithm, type[SigningKeyRow] | type[IdTokenKeyRow]]] = {
    SigningAlgorithm.ED_DSA: SigningKeyRow,
    SigningAlgorithm.RS256: IdTokenKeyRow,
}


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


async def live(connection: AsyncConnection, algorithm: SigningAlgorithm, *, kept: timedelta) -> Sequence[StoredKey]:
    """The keys to publish, oldest first. Each stays for `kept` after its successor begins to sign."""
    key = _TABLES[algorithm]
    heir, now = aliased(key), func.clock_timestamp()
    is_replaced = exists().where(
        heir.revoked_at.is_(None), heir.signs_from > key.signs_from, heir.signs_from < now - kept
    )
    rows = await connection.execute(
        select(key.kid, key.public, key.sealed, (key.signs_from <= now).label("signs"))
        .where(key.revoked_at.is_(None), ~is_replaced)
        .order_by(key.signs_from)
    )
    return [StoredKey(*row) for row in rows]


async def add(
    connection: AsyncConnection,
    algorithm: SigningAlgorithm,
    kid: str,
    public: dict[str, Any],
    sealed: bytes,
    *,
    signs_after: timedelta,
) -> None:
    """Publish a key that signs from then on."""
    signs_from = func.clock_timestamp() + signs_after
    await connection.execute(
        insert(_TABLES[algorithm]).values(kid=kid, public=public, sealed=sealed, signs_from=signs_from)
    )


async def forget(connection: AsyncConnection, algorithm: SigningAlgorithm, kept: Sequence[StoredKey]) -> None:
    """Delete the private parts of keys that are not needed any more."""
    key = _TABLES[algorithm]
    await connection.execute(delete(key).where(key.kid.not_in([each.kid for each in kept])))


async def revoke(connection: AsyncConnection, algorithm: SigningAlgorithm, kid: str) -> bool:
    """End a key, and with it every token that it signed, at once; False if there is no such live key."""
    key = _TABLES[algorithm]
    ended = await connection.execute(
        update(key).where(key.kid == kid, key.revoked_at.is_(None)).values(revoked_at=func.now())
    )
    return ended.rowcount == 1
