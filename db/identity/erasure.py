"""Erasing a person: their key goes, and with it whatever is sealed under it, wherever that lies."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete, func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity import second_factors
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
    """Leave of an account, whose row the caller has locked, nothing but its id, to which bookings and money refer."""
    await connection.execute(delete(UserKeyRow).where(UserKeyRow.user_id == user_id))
    await connection.execute(
        update(UserRow)
        .where(UserRow.id == user_id)
        .values(address_hash=None, profile=None, password_hash=None, verified_at=None, roles=[], erased_at=func.now())
    )
    await second_factors.remove(connection, user_id)
    await connection.execute(delete(MailTokenRow).where(MailTokenRow.user_id == user_id))
    await _forget_sessions(connection, user_id)
    for table in (OutsideAccountRow, AuthorizationCodeRow, RefreshFamilyRow, TeamMemberRow):
        await connection.execute(delete(table).where(table.user_id == user_id))
    await append(connection, user_id, UserErased(user_id=user_id))


async def _forget_sessions(connection: AsyncConnection, user_id: UUID) -> None:
    """End them; the rows stay, for those who look whether an access token's session has ended."""
    ended = (
        update(SessionRow)
        .where(SessionRow.user_id == user_id)
        .values(device=None, ended_at=func.coalesce(SessionRow.ended_at, func.now()))
        .returning(SessionRow.id)
    )
    sessions = list(await connection.scalars(ended))
    await connection.execute(delete(RefreshTokenRow).where(RefreshTokenRow.family.in_(sessions)))
