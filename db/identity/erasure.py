"""Erases a person: without their key all data that is sealed under it is unreadable, in backups too."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity import consents, revocations, second_factors
from db.identity.tables import (
    AuthorizationCodeRow,
    MailTokenRow,
    OutsideAccountRow,
    RefreshFamilyRow,
    RefreshTokenRow,
    SessionRow,
    TeamMemberRow,
    UserKeyRow,
    UserRow,
)
from db.outbox import append
from domain.domain_events import UserErased


async def erase(connection: AsyncConnection, user_id: UUID) -> None:
    """Delete everything of a locked account but its id, which bookings and payments refer to.

    The caller has dissolved the person's own teams before.
    """
    await revocations.revoke_person(connection, user_id)
    await connection.execute(delete(UserKeyRow).where(UserKeyRow.user_id == user_id))
    await connection.execute(
        update(UserRow)
        .where(UserRow.id == user_id)
        .values(
            address_hash=None,
            name_hash=None,
            profile=None,
            password_hash=None,
            verified_at=None,
            roles=[],
            erased_at=func.now(),
        )
    )
    await second_factors.remove(connection, user_id)
    await connection.execute(delete(MailTokenRow).where(MailTokenRow.user_id == user_id))
    await _forget_sessions(connection, user_id)
    await connection.run_sync(consents.forget_all, user_id)
    for table in (OutsideAccountRow, AuthorizationCodeRow, RefreshFamilyRow, TeamMemberRow):
        await connection.execute(delete(table).where(table.user_id == user_id))
    await append(connection, user_id, UserErased(user_id=user_id))


async def _forget_sessions(connection: AsyncConnection, user_id: UUID) -> None:
    theirs = SessionRow.user_id == user_id
    ended = {"device": None, "ended_at": func.coalesce(SessionRow.ended_at, func.now())}
    await connection.execute(update(SessionRow).where(theirs).values(ended))
    of_session = RefreshTokenRow.family.in_(select(SessionRow.id).where(theirs))
    await connection.execute(delete(RefreshTokenRow).where(of_session))
