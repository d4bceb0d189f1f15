"""Accounts at other log-in providers: to whom they belong, and how one is linked."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.tables import OutsideAccountRow, UserRow
from db.identity.vault import Vault


async def owner(connection: AsyncConnection, provider: str, subject: str) -> UUID | None:
    """The person to whom it is linked."""
    found = await connection.scalar(
        select(OutsideAccountRow.user_id).where(
            OutsideAccountRow.provider == provider, OutsideAccountRow.subject == subject
        )
    )
    return UUID(str(found)) if found else None


async def has_address(connection: AsyncConnection, vault: Vault, user_id: UUID, email: str) -> bool:
    """Whether the person's account has this address, in any spelling."""
    found = await connection.scalar(
        select(UserRow.id).where(UserRow.id == user_id, UserRow.address_hash == vault.address_hash(email))
    )
    return found is not None


class Linked(NamedTuple):
    """An account at a provider with which a person may log in."""

    provider: str
    linked_at: datetime


async def of_person(connection: AsyncConnection, user_id: UUID) -> list[Linked]:
    """The accounts with which a person may log in, oldest first."""
    account = OutsideAccountRow
    mine = select(account.provider, account.linked_at).where(account.user_id == user_id).order_by(account.linked_at)
    return [Linked(*row) for row in await connection.execute(mine)]


async def unlink(connection: AsyncConnection, user_id: UUID, provider: str) -> bool:
    """Unlink the provider's account from the person; False if it was not linked."""
    gone = await connection.execute(
        delete(OutsideAccountRow).where(OutsideAccountRow.user_id == user_id, OutsideAccountRow.provider == provider)
    )
    return gone.rowcount > 0


async def link(connection: AsyncConnection, provider: str, subject: str, user_id: UUID) -> UUID:
    """Link it, unless it is linked already. Returns the person to whom it is linked then."""
    await connection.execute(
        insert(OutsideAccountRow).values(provider=provider, subject=subject, user_id=user_id).on_conflict_do_nothing()
    )
    linked = await owner(connection, provider, subject)
    assert linked is not None
    return linked
