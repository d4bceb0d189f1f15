"""Sessions, which their owner can list and end. A refresh token works once; a second use ends the whole family."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity import grants, rights
from db.identity.tables import RefreshTokenRow, SessionRow

LIFETIME = timedelta(days=30)


class Session(NamedTuple):
    """A session as its owner sees it; `device` is sealed under the owner's key."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    device: bytes | None


class Rotation(NamedTuple):
    """A session that begins or continues: its user and the next refresh token."""

    user_id: UUID
    session_id: UUID
    refresh_token: str


async def begin(connection: AsyncConnection, user_id: UUID, device: bytes) -> Rotation:
    """Open a session. `device`, sealed under the owner's key, lets the owner recognize it later."""
    made = insert(SessionRow).values(user_id=user_id, device=device).returning(SessionRow.id)
    session_id = (await connection.execute(made)).scalar_one()
    return Rotation(user_id, session_id, await _new_token(connection, session_id))


async def live(connection: AsyncConnection, user_id: UUID) -> list[Session]:
    """The user's valid sessions, the most recently used first."""
    found = await connection.execute(
        select(SessionRow.id, SessionRow.created_at, SessionRow.last_used_at, SessionRow.device)
        .where(_goes_on(user_id), SessionRow.last_used_at > func.now() - LIFETIME)
        .order_by(SessionRow.last_used_at.desc(), SessionRow.id)
    )
    return [Session(*row) for row in found]


async def end(connection: AsyncConnection, user_id: UUID, session_id: UUID) -> bool:
    """End one session of the user; False if there is no such valid session."""
    ended = await connection.execute(
        update(SessionRow).where(_goes_on(user_id), SessionRow.id == session_id).values(ended_at=func.now())
    )
    return ended.rowcount == 1


async def end_all(connection: AsyncConnection, user_id: UUID) -> None:
    """End every session and every grant of the user, so that no earlier token continues.

    The caller has locked the user's row.
    """
    await connection.execute(update(SessionRow).where(_goes_on(user_id)).values(ended_at=func.now()))
    await connection.run_sync(grants.end_all, user_id)


def _goes_on(user_id: UUID) -> ColumnElement[bool]:
    return and_(SessionRow.user_id == user_id, SessionRow.ended_at.is_(None))


async def rotate(connection: AsyncConnection, refresh_token: str) -> Rotation | None:
    """Exchange a refresh token for the next one; None if it is unknown, expired, or of an ended session.

    A used token may be stolen: then the session ends, for thief and owner. The caller has to commit in that case
    too.
    """
    digest = _digest(refresh_token)
    found = await connection.execute(
        select(SessionRow.user_id, SessionRow.id)
        .join(RefreshTokenRow, RefreshTokenRow.family == SessionRow.id)
        .where(RefreshTokenRow.hash == digest)
    )
    row = found.one_or_none()
    if row is None:
        return None
    user_id, session_id = row
    await connection.run_sync(rights.hold, user_id)
    # One rotation at a time in a family. Without the lock it could continue a session that another transaction ends.
    goes_on = select(SessionRow.id).where(_goes_on(user_id), SessionRow.id == session_id).with_for_update()
    if await connection.scalar(goes_on) is None:
        return None
    if not await _use(connection, digest):
        await end(connection, user_id, session_id)
        return None
    await connection.execute(update(SessionRow).where(SessionRow.id == session_id).values(last_used_at=func.now()))
    return Rotation(user_id, session_id, await _new_token(connection, session_id))


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
