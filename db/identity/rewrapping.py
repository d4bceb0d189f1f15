"""Wraps people's keys again after the master key was replaced, so that the old one can be deleted."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.tables import UserKeyRow
from db.identity.vault import Vault

_PAGE: Final = 500
FIRST: Final = UUID(int=0)


class Progress(NamedTuple):
    """How many keys of a page were wrapped again, and where to continue; None if nothing is left."""

    wrapped: int
    after: UUID | None


async def rewrap(connection: AsyncConnection, vault: Vault, after: UUID) -> Progress:
    """Wrap the keys of a page with the newest master key. An erasure at the same time waits, and then succeeds.

    Raises:
        KeyError: A key is wrapped by a master key that is not configured any more.
    """
    page = select(UserKeyRow.user_id, UserKeyRow.wrapped).where(UserKeyRow.user_id > after)
    rows = (await connection.execute(page.order_by(UserKeyRow.user_id).limit(_PAGE).with_for_update())).all()
    anew = [(row.user_id, wrapped) for row in rows if (wrapped := vault.rewrapped(row.user_id, row.wrapped))]
    for user_id, wrapped in anew:
        await connection.execute(update(UserKeyRow).where(UserKeyRow.user_id == user_id).values(wrapped=wrapped))
    return Progress(len(anew), rows[-1].user_id if len(rows) == _PAGE else None)
