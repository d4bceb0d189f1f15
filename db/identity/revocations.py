"""Revoked sessions, families of refresh tokens, single tokens, and people (all their tokens)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


async def revoke_person(connection: AsyncConnection, user_id: UUID) -> None:
    """End all current access tokens of a person whose row the caller has locked.

    Sessions and grants of the person that end later in this transaction have no revocation of their own.
    """
    await connection.execute(text("SELECT revoke_person(:id)"), {"id": user_id})


async def recent(connection: AsyncConnection, within: timedelta) -> Mapping[UUID, float]:
    """Everything revoked in this period, with its time (seconds since the epoch)."""
    rows = await connection.execute(
        text(
            "SELECT subject, extract(epoch FROM revoked_at)::float FROM revocations WHERE revoked_at > now() - :within"
        ),
        {"within": within},
    )
    return dict(rows.all())


async def forget(connection: AsyncConnection, older_than: timedelta) -> None:
    """Delete revocations that are older than every valid token."""
    await connection.execute(text("DELETE FROM revocations WHERE revoked_at < now() - :age"), {"age": older_than})
