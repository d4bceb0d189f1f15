"""Gates: many transactions pass one at the same time, and one that closes it waits only for those that came first.

Each new FOR SHARE of a row joins those before it, ahead of an UPDATE that waits: a rush could put off it without
end. At an advisory lock all wait in turn. It comes besides the lock of the row, and before it.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, Text, Uuid, bindparam, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection


def passed(of: ColumnElement[UUID]) -> ColumnElement[bool]:
    """A condition of statements that lock the row with this id: they wait for a change that came first.

    As a subquery it costs no statement, and is taken before the row's lock.
    """
    return select(func.pg_advisory_xact_lock_shared(_key(of))).scalar_subquery().is_not(None)


async def close(connection: AsyncConnection, id: UUID) -> None:
    """Wait for the transactions that have passed the gate; later ones wait for the end of this one."""
    await connection.execute(_CLOSED, {"gate": id})


def _key(of: ColumnElement[UUID]) -> ColumnElement[int]:
    return func.hashtextextended(cast(of, Text), 0)


_CLOSED = select(func.pg_advisory_xact_lock(_key(bindparam("gate", type_=Uuid))))
