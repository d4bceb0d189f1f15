"""Sessions, which their owner can list and end.

A refresh token works once. For some seconds the same program may repeat the refresh, since its answer may be lost and
two tabs may refresh at the same moment; it gets the same successor. Any other second use ends the whole family.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity import grants, revocations, rights
from db.identity.tables import RefreshTokenRow, SessionRow
from db.identity.vault import Vault

MOST_OPEN: Final = 50
"""Sessions of one person; a further log-in ends the one that was used longest ago."""

LIFETIME = timedelta(days=30)
REPEATABLE = timedelta(seconds=10)
"""How long a refresh may be repeated."""


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
    """Open a session of a person whose row the caller has locked, so that log-ins at once make room one by one.

    Args:
        connection: Within a transaction.
        user_id: The person.
        device: Sealed under the owner's key; it lets the owner recognize the session later.
    """
    await _make_room(connection, user_id)
    made = insert(SessionRow).values(user_id=user_id, device=device).returning(SessionRow.id)
    session_id = (await connection.execute(made)).scalar_one()
    token = secrets.token_urlsafe(32)
    await _add(connection, session_id, token)
    return Rotation(user_id, session_id, token)


async def _make_room(connection: AsyncConnection, user_id: UUID) -> None:
    """End the sessions that were used longest ago, so that one more is not too many."""
    session = SessionRow
    newest_first = select(session.id).where(_goes_on(user_id)).order_by(session.last_used_at.desc(), session.id.desc())
    surplus = session.id.in_(newest_first.offset(MOST_OPEN - 1))
    await connection.execute(update(session).where(_goes_on(user_id), surplus).values(ended_at=func.now()))


async def live(connection: AsyncConnection, user_id: UUID) -> list[Session]:
    """The user's valid sessions, the most recently used first; at most `MOST_OPEN`."""
    found = await connection.execute(
        select(SessionRow.id, SessionRow.created_at, SessionRow.last_used_at, SessionRow.device)
        .where(_goes_on(user_id), SessionRow.last_used_at > func.now() - LIFETIME)
        .order_by(SessionRow.last_used_at.desc(), SessionRow.id)
        .limit(MOST_OPEN)
    )
    return [Session(*row) for row in found]


async def goes_on(connection: AsyncConnection, user_id: UUID, session_id: UUID) -> bool:
    """Whether the user's session has not ended."""
    found = await connection.scalar(select(SessionRow.id).where(_goes_on(user_id), SessionRow.id == session_id))
    return found is not None


async def end(connection: AsyncConnection, user_id: UUID, session_id: UUID) -> bool:
    """End one session of the user; False if there is no such valid session."""
    ended = await connection.execute(
        update(SessionRow).where(_goes_on(user_id), SessionRow.id == session_id).values(ended_at=func.now())
    )
    return ended.rowcount == 1


async def end_all(connection: AsyncConnection, user_id: UUID) -> None:
    """End every session and every grant of the user, so that no earlier token continues.

    The caller has locked the user's row. All access tokens end by one revocation, however many sessions there are.
    """
    await revocations.revoke_person(connection, user_id)
    await connection.execute(update(SessionRow).where(_goes_on(user_id)).values(ended_at=func.now()))
    await connection.run_sync(grants.end_all, user_id)


def _goes_on(user_id: UUID) -> ColumnElement[bool]:
    return and_(SessionRow.user_id == user_id, SessionRow.ended_at.is_(None))


async def rotate(connection: AsyncConnection, vault: Vault, refresh_token: str, program: str) -> Rotation | None:
    """Exchange a refresh token for the next one; None if it is unknown, expired, or of an ended session.

    A used token may be stolen: then the session ends, for thief and owner. The caller has to commit in that case
    too.

    Args:
        connection: Within a transaction.
        vault: Derives the next token.
        refresh_token: The session's newest token, or the one before within `REPEATABLE`.
        program: What the caller calls itself; only it may repeat the refresh.
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
    successor, used_by = vault.refresh_token_after(refresh_token), _digest(refresh_token + program)
    if await _use(connection, digest, used_by):
        await _add(connection, session_id, successor)
    elif not await _is_repeated(connection, digest, used_by):
        await end(connection, user_id, session_id)
        return None
    await connection.execute(update(SessionRow).where(SessionRow.id == session_id).values(last_used_at=func.now()))
    return Rotation(user_id, session_id, successor)


async def _use(connection: AsyncConnection, digest: bytes, used_by: bytes) -> bool:
    used = await connection.execute(
        update(RefreshTokenRow)
        .where(
            RefreshTokenRow.hash == digest,
            RefreshTokenRow.used_at.is_(None),
            RefreshTokenRow.expires_at > func.now(),
        )
        .values(used_at=func.now(), used_by=used_by)
        .returning(RefreshTokenRow.family)
    )
    return used.one_or_none() is not None


async def _is_repeated(connection: AsyncConnection, digest: bytes, used_by: bytes) -> bool:
    repeated = select(RefreshTokenRow.hash).where(
        RefreshTokenRow.hash == digest,
        RefreshTokenRow.used_at > func.now() - REPEATABLE,
        RefreshTokenRow.used_by == used_by,
    )
    return await connection.scalar(repeated) is not None


async def _add(connection: AsyncConnection, family: UUID, token: str) -> None:
    await connection.execute(
        insert(RefreshTokenRow).values(hash=_digest(token), family=family, expires_at=func.now() + LIFETIME)
    )


def _digest(token: str) -> bytes:
    # The token has 256 random bits, so a fast hash without salt gives nothing away.
    return sha256(token.encode()).digest()
