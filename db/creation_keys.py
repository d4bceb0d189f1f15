"""What idempotency keys have created: the same table in each service whose rows do not carry their key themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

CREATION_KEYS_DDL: Final = """
CREATE TABLE creation_keys (
    key text PRIMARY KEY CHECK (key ~ '^[0-9a-f]{64}$'), -- a digest of the person and their key
    body_sha256 text NOT NULL,
    created_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
"""


class CreationKeyColumns:
    """Columns of `creation_keys`: a key stays as long as what it has created."""

    __tablename__ = "creation_keys"

    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    created_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Claim(NamedTuple):
    """What a key stands for.

    Attributes:
        id: Of what the key has created, or is about to create in this transaction.
        body_sha256: The digest of the body that the key came with first.
        is_new: Nothing is created yet.
    """

    id: UUID
    body_sha256: str
    is_new: bool


async def claim(
    connection: AsyncConnection, table: type[Any], key: str, body_sha256: str, created_id: UUID | None = None
) -> Claim:
    """Claim a key in the transaction that creates; a transaction with the same key waits for the end of this one.

    Args:
        connection: In a transaction.
        table: The service's `creation_keys`.
        key: A digest of the person and their key.
        body_sha256: The digest of the body.
        created_id: Of what is created if the key is new; a new one if it is None.
    """
    created = {"body_sha256": body_sha256, "created_id": created_id or uuid7()}
    new = insert(table).values(key=key, **created).on_conflict_do_nothing()
    made = (await connection.execute(new.returning(table.created_id))).scalar_one_or_none()
    if made is not None:
        return Claim(made, body_sha256, is_new=True)
    known = await find(connection, table, key)
    assert known
    return known


async def find(connection: AsyncConnection, table: type[Any], key: str) -> Claim | None:
    """What a key has created; None if nothing, as far as is committed."""
    known = select(table.created_id, table.body_sha256).where(table.key == key)
    row = (await connection.execute(known)).one_or_none()
    return Claim(row.created_id, row.body_sha256, is_new=False) if row else None
