"""The audit log: who did what to which object, each entry chained to the one before by a keyed hash.

The application may only append. Any other change breaks the chain, and only with the key could the chain be forged; the
database does not have it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import func, insert, select, text, union
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity import accounts
from db.identity.tables import AuditLogRow
from db.identity.vault import Vault

NOBODY: Final = "nobody"
ORIGIN: Final = "origin"
"""The purpose for which the origin of an entry is sealed."""
PAGE: Final = 200
"""The most entries that are read at once, so that a long history does not hold the event loop."""

_BEGINNING: Final = bytes(32)
_LOOKED_AT: Final = 100
_AFTER_ALL: Final = 2**63 - 1
# Only one transaction at a time appends. The time is the database's, so it never goes back along the chain.
_TAIL = text("SELECT pg_advisory_xact_lock(hashtext('audit-log'))")
_LAST = text(
    """
    SELECT clock_timestamp() AS now, number, hash
    FROM (SELECT) AS always LEFT JOIN (SELECT number, hash FROM audit_log ORDER BY number DESC LIMIT 1) AS last ON true
    """
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry to append.

    Attributes:
        actor: `user/<id>`, `client/<id>` for a client that acts for itself, `shell/<name>` for a command on a server,
            or `nobody` without a log-in.
        roles: The actor's, with commas between.
        action: Such as `roles.changed`.
        object: Such as `user/<id>`.
        origin: Where the request came from, as JSON. It is sealed under the key of the actor or, for `nobody`, of the
            object; a client's is not sealed. None if it is not known.
    """

    actor: str
    action: str
    object: str
    roles: str = ""
    origin: bytes | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One place in the chain: its number, from 1, and its hash in hexadecimal."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Walk:
    """The result of a check of the chain.

    Attributes:
        head: The last entry that is unchanged; None if there is none.
        broken: The number of the first broken entry; None if the chain holds.
        why: What is wrong there.
    """

    head: Link | None
    broken: int | None = None
    why: str = ""


class AuditLog:
    """The chain under one key."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    async def append(self, connection: AsyncConnection, entry: Entry) -> None:
        """Append in the caller's transaction, as its last statement: all other entries wait for its end."""
        await connection.execute(_TAIL)
        last = (await connection.execute(_LAST)).one()
        row = AuditLogRow(
            number=(last.number or 0) + 1,
            at=last.now,
            actor=entry.actor,
            roles=entry.roles,
            action=entry.action,
            object=entry.object,
            origin=entry.origin,
            request_id=entry.request_id,
            previous=last.hash or _BEGINNING,
        )
        values = {name: getattr(row, name) for name in _COLUMNS}
        await connection.execute(insert(AuditLogRow).values(**values, hash=self._hash(row)))

    async def walk(self, connection: AsyncConnection) -> Walk:
        """Check the chain from its beginning to the first entry that was changed."""
        head = Link(0, _BEGINNING.hex())
        async with connection.stream(select(AuditLogRow.__table__).order_by(AuditLogRow.number)) as found:
            async for values in found.mappings():
                row = AuditLogRow(**values)
                if why := self._fault(row, head):
                    return Walk(head if head.number else None, head.number + 1, why)
                head = Link(row.number, row.hash.hex())
        return Walk(head if head.number else None)

    async def has(self, connection: AsyncConnection, link: str) -> bool:
        """Whether the chain contains this link, `number:hash`."""
        number, _, hash = link.partition(":")
        if not number.isdecimal():
            return False
        found = await connection.scalar(select(AuditLogRow.hash).where(AuditLogRow.number == int(number)))
        return found is not None and found.hex() == hash

    def _fault(self, row: AuditLogRow, before: Link) -> str:
        if row.number != before.number + 1:
            return f"entries are missing: the next one is number {row.number}"
        if row.previous.hex() != before.hash:
            return "it does not continue the entry before"
        if not hmac.compare_digest(row.hash, self._hash(row)):
            return "it is not as it was written"
        return ""

    def _hash(self, row: AuditLogRow) -> bytes:
        # Every column, in the order of `_COLUMNS`; a JSON array makes the borders between them clear.
        return hmac.digest(self._key, orjson.dumps([_plain(getattr(row, name)) for name in _COLUMNS]), sha256)


_COLUMNS: Final = ("number", "at", "actor", "roles", "action", "object", "origin", "request_id", "previous")


def of_user(user_id: UUID) -> str:
    """A person as actor or object."""
    return f"user/{user_id}"


def of_client(client_id: UUID) -> str:
    """A client as actor or object."""
    return f"client/{client_id}"


class Seen(NamedTuple):
    """What a reader sees of an entry; `origin` is sealed."""

    number: int
    at: datetime
    actor: str
    roles: str
    action: str
    object: str
    origin: bytes | None


async def about(connection: AsyncConnection, name: str, *, before: int = _AFTER_ALL) -> list[Seen]:
    """The newest entries with this actor or object, newest first, `PAGE` at most: the log is never emptied.

    Args:
        connection: Within a transaction or not.
        name: The actor or object.
        before: The number of the last entry of the page before this one.
    """
    row = AuditLogRow
    columns = [getattr(row, column) for column in Seen._fields]
    # Each half reads no more than a page from the end of its index, however long the history is.
    halves = [
        select(*columns).where(mine == name, row.number < before).order_by(row.number.desc()).limit(PAGE)
        for mine in (row.actor, row.object)
    ]
    page = union(*halves).order_by(text("number DESC")).limit(PAGE)
    return [Seen(*each) for each in await connection.execute(page)]


async def times(connection: AsyncConnection, actor: str, action: str, within: timedelta) -> int:
    """How often the actor's newest entries, a hundred at most, have this action within this time."""
    row = AuditLogRow
    mine = select(row.action, row.at).where(row.actor == actor)
    newest = mine.order_by(row.number.desc()).limit(_LOOKED_AT).subquery()
    found = select(func.count()).where(newest.c.action == action, newest.c.at > func.now() - within)
    return await connection.scalar(found) or 0


async def origin_of(connection: AsyncConnection, vault: Vault, row: Seen) -> dict[str, str]:
    """Where the request came from; empty if that is not known or the person is erased."""
    if row.origin is None:
        return {}
    person = next((name for name in (row.actor, row.object) if name.startswith("user/")), None)
    if row.actor.startswith("client/") or person is None:
        return dict(orjson.loads(row.origin))
    key = await accounts.key_of(connection, vault, UUID(person.removeprefix("user/")))
    return dict(orjson.loads(key.open(ORIGIN, row.origin))) if key else {}


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
