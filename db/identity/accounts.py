"""Accounts: the only statements that touch people's addresses, names and password hashes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.tables import UserRow
from db.outbox import append
from domain.domain_events import UserRegistered
from domain.identity import Role


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account as its owner sees it."""

    id: UUID
    email: str
    name: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a log-in is checked against."""

    user_id: UUID
    roles: frozenset[Role]
    password_hash: str


_ACCOUNT = (UserRow.id, UserRow.email, UserRow.name, UserRow.roles)


async def register(
    connection: AsyncConnection, *, email: str, name: str, password_hash: str, roles: Collection[Role]
) -> Account | None:
    """Make an account and tell the world its id; None if the address has one already."""
    made = await connection.execute(
        insert(UserRow)
        .values(email=email, name=name, password_hash=password_hash, roles=sorted(roles))
        .on_conflict_do_nothing(index_elements=[text("lower(email)")])
        .returning(*_ACCOUNT)
    )
    row = made.one_or_none()
    if row is None:
        return None
    await append(connection, row.id, UserRegistered(user_id=row.id))
    return _account(row)


async def find(connection: AsyncConnection, user_id: UUID) -> Account | None:
    row = (await connection.execute(select(*_ACCOUNT).where(UserRow.id == user_id))).one_or_none()
    return _account(row) if row else None


async def credentials(connection: AsyncConnection, email: str) -> Credentials | None:
    """What the account with this address, in whatever case, is checked against."""
    found = await connection.execute(
        select(UserRow.id, UserRow.roles, UserRow.password_hash).where(func.lower(UserRow.email) == func.lower(email))
    )
    row = found.one_or_none()
    return Credentials(row.id, _roles(row.roles), row.password_hash) if row else None


async def rename(connection: AsyncConnection, user_id: UUID, name: str) -> Account | None:
    return await _change(connection, user_id, name=name)


async def set_roles(connection: AsyncConnection, user_id: UUID, roles: Collection[Role]) -> Account | None:
    return await _change(connection, user_id, roles=sorted(roles))


async def _change(connection: AsyncConnection, user_id: UUID, **values: Any) -> Account | None:
    changed = await connection.execute(
        update(UserRow).where(UserRow.id == user_id).values(**values).returning(*_ACCOUNT)
    )
    row = changed.one_or_none()
    return _account(row) if row else None


def _account(row: Row[UUID, str, str, list[str]]) -> Account:
    return Account(row.id, row.email, row.name, _roles(row.roles))


def _roles(names: Collection[str]) -> frozenset[Role]:
    return frozenset(map(Role, names))
