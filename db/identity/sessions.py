"""Sessions, which their owner can list and end: each refresh token is good once, a second use ends the whole family."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.tables import RefreshTokenRow, SessionRow, UserRow
from domain.identity import Role

LIFETIME = timedelta(days=30)


class Opened(NamedTuple):
    """A new session and its first refresh token."""

    session_id: UUID
    refresh_token: str


class Session(NamedTuple):
    """A session as its owner sees it; `device` is sealed under the owner's key."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    device: bytes | None


class Rotation(NamedTuple):
    """A session that goes on: whose it is, and the refresh token that comes next."""

    session_id: UUID
    user_id: UUID
    roles: frozenset[Role]
    refresh_token: str


async def begin(connection: AsyncConnection, user_id: UUID, device: bytes | None = None) -> Opened:
    """Open a session; `device` tells its owner later which one it is, sealed under the owner's key."""
    made = insert(SessionRow).values(user_id=user_id, device=device).returning(SessionRow.id)
    session_id = (await connection.execute(made)).scalar_one()
    return Opened(session_id, await _new_token(connection, session_id))


async def live(connection: AsyncConnection, user_id: UUID) -> list[Session]:
    """The user's sessions that can still go on, the one used last first."""
    found = await connection.execute(
        select(SessionRow.id, SessionRow.created_at, SessionRow.last_used_at, SessionRow.device)
        .where(_goes_on(user_id), SessionRow.last_used_at > func.now() - LIFETIME)
        .order_by(SessionRow.last_used_at.desc(), SessionRow.id)
    )
    return [Session(*row) for row in found]


async def end(connection: AsyncConnection, user_id: UUID, session_id: UUID) -> bool:
    """End one session of the user; False if there is no such one, or no more."""
    ended = await connection.execute(
        update(SessionRow).where(_goes_on(user_id), SessionRow.id == session_id).values(ended_at=func.now())
    )
    return ended.rowcount == 1


async def end_all(connection: AsyncConnection, user_id: UUID) -> None:
    """End every session of the user: nothing that was given out before can be refreshed any more."""
    await connection.execute(update(SessionRow).where(_goes_on(user_id)).values(ended_at=func.now()))


def _goes_on(user_id: UUID) -> ColumnElement[bool]:
    return and_(SessionRow.user_id == user_id, SessionRow.ended_at.is_(None))


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
    roles = await connection.scalar(select(UserRow.roles).where(UserRow.id == user_id))
    await connection.execute(update(SessionRow).where(SessionRow.id == family).values(last_used_at=func.now()))
    return Rotation(family, user_id, frozenset(map(Role, roles or ())), await _new_token(connection, family))


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
