"""What people have allowed applications, until they take it back; and log-ins that wait for such a decision.

The caller has locked the person's row wherever something is changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.clients import digest
from db.identity.tables import ClientRow, ConsentRow, PendingConsentRow
from domain.identity import Scope

_PENDING: Final = timedelta(minutes=10)
"""How long a person may read the page."""


class Consent(NamedTuple):
    """What a person has allowed a client, as the person sees it."""

    client_id: UUID
    client: str
    scopes: frozenset[Scope]
    given_at: datetime


class LoggedIn(NamedTuple):
    """A person after the log-in on the page; `logged_in_at` is None for this transaction."""

    user_id: UUID
    logged_in_at: datetime | None = None


async def covers(connection: AsyncConnection, user_id: UUID, client_id: UUID, scopes: Collection[Scope]) -> bool:
    """Whether the person has allowed the client all of these scopes; never before they have allowed it anything."""
    allowed = await _scopes(connection, user_id, client_id)
    return allowed is not None and allowed >= set(scopes)


async def give(connection: AsyncConnection, user_id: UUID, client_id: UUID, scopes: Collection[Scope]) -> None:
    """Remember that the person allows these scopes, besides those of before."""
    together = sorted((await _scopes(connection, user_id, client_id) or set()) | set(scopes))
    given = upsert(ConsentRow).values(user_id=user_id, client_id=client_id, scopes=together)
    changes = {"scopes": together, "given_at": func.now()}
    await connection.execute(given.on_conflict_do_update(index_elements=["user_id", "client_id"], set_=changes))


async def live(connection: AsyncConnection, user_id: UUID) -> list[Consent]:
    """All consents of a person to clients that have not ended, newest first."""
    rows = await connection.execute(
        select(ConsentRow.client_id, ClientRow.name, ConsentRow.scopes, ConsentRow.given_at)
        .join(ClientRow, ClientRow.id == ConsentRow.client_id)
        .where(ConsentRow.user_id == user_id, ClientRow.ended_at.is_(None))
        .order_by(ConsentRow.given_at.desc(), ConsentRow.client_id)
    )
    return [Consent(client_id, name, frozenset(map(Scope, scopes)), at) for client_id, name, scopes, at in rows]


def forget(connection: Connection, user_id: UUID, client_id: UUID) -> bool:
    """Forget what the person has allowed the client; False if there is nothing to forget."""
    row, pending = ConsentRow, PendingConsentRow
    waits = connection.execute(delete(pending).where(pending.user_id == user_id, pending.client_id == client_id))
    gone = connection.execute(delete(row).where(row.user_id == user_id, row.client_id == client_id))
    return waits.rowcount + gone.rowcount > 0


def forget_all(connection: Connection, user_id: UUID) -> None:
    """Forget all that the person has allowed."""
    for table in (PendingConsentRow, ConsentRow):
        connection.execute(delete(table).where(table.user_id == user_id))


async def wait(connection: AsyncConnection, user_id: UUID, client_id: UUID) -> str:
    """A word with which the person can decide about the client after the log-in."""
    row = PendingConsentRow
    await connection.execute(delete(row).where(row.user_id == user_id, row.logged_in_at <= func.now() - _PENDING))
    word = secrets.token_urlsafe(32)
    await connection.execute(insert(row).values(hash=digest(word), user_id=user_id, client_id=client_id))
    return word


async def waiting(connection: AsyncConnection, word: str) -> UUID | None:
    """The person who may decide by this word, to be locked before; None if it is unknown."""
    return await connection.scalar(select(PendingConsentRow.user_id).where(PendingConsentRow.hash == digest(word)))


async def decide(connection: AsyncConnection, word: str, client_id: UUID) -> LoggedIn | None:
    """Use up the word; None if it is too old, for another client, used, or ended with the person's log-ins."""
    row = PendingConsentRow
    used = await connection.execute(
        delete(row)
        .where(row.hash == digest(word), row.client_id == client_id, row.logged_in_at > func.now() - _PENDING)
        .returning(row.user_id, row.logged_in_at)
    )
    found = used.one_or_none()
    return LoggedIn(*found) if found else None


async def _scopes(connection: AsyncConnection, user_id: UUID, client_id: UUID) -> set[Scope] | None:
    row = ConsentRow
    allowed = await connection.scalar(select(row.scopes).where(row.user_id == user_id, row.client_id == client_id))
    return None if allowed is None else set(map(Scope, allowed))
