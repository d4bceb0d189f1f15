"""Sessions: each refresh token is good once, and a second use ends the whole family."""

from __future__ import annotations

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.tables import RefreshTokenRow, SessionRow

LIFETIME = timedelta(days=30)


class Rotation(NamedTuple):
    """A session that begins or goes on: whose it is, and the refresh token that comes next."""

    user_id: UUID
    session_id: UUID
    refresh_token: str


async def begin(connection: AsyncConnection, user_id: UUID) -> Rotation:
    """Open a session, with its first refresh token."""
    session = await connection.execute(insert(SessionRow).values(user_id=user_id).returning(SessionRow.id))
    session_id = session.scalar_one()
    return Rotation(user_id, session_id, await _new_token(connection, session_id))


async def rotate(connection: AsyncConnection, refresh_token: str) -> Rotation | None:
    """Use up a refresh token for the next one; None if it is unknown, too old, or of a session that has ended.

    One that was used before may be stolen: then the session ends here, for thief and owner alike. The caller has to
    commit in that case too.
    """
    digest = _digest(refresh_token)
    family = await connection.scalar(select(RefreshTokenRow.family).where(RefreshTokenRow.hash == digest))
    if family is None:
        return None
    # One at a time in a family: a rotation that ran beside the end of its session would outlive it.
    user_id = await connection.scalar(
        select(SessionRow.user_id).where(SessionRow.id == family, SessionRow.ended_at.is_(None)).with_for_update()
    )
    if user_id is None:
        return None
    if not await _use(connection, digest):
        await connection.execute(update(SessionRow).where(SessionRow.id == family).values(ended_at=func.now()))
        return None
    return Rotation(user_id, family, await _new_token(connection, family))


async def _use(connection: AsyncConnection, digest: bytes) -> bool:
    used = await connection.execute(
        update(RefreshTokenRow)
        .where(
            RefreshTokenRow.hash == digest,
            RefreshTokenRow.used_at.is_(None),
            RefreshTokenRow.expires_at > func.now(),
        )
        .values(used_at=func.now())
        .returning(RefreshTokenRow.family)
    )
    return used.one_or_none() is not None


async def _new_token(connection: AsyncConnection, family: UUID) -> str:
    token = secrets.token_urlsafe(32)
    await connection.execute(
        insert(RefreshTokenRow).values(hash=_digest(token), family=family, expires_at=func.now() + LIFETIME)
    )
    return token


def _digest(token: str) -> bytes:
    # The token has 256 random bits, so a fast hash without salt gives nothing away.
    return sha256(token.encode()).digest()
