"""A person's current rights, for a token: roles, and roles in teams."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.identity import Role, TeamRole

# Each new FOR SHARE would join those before it, ahead of a log-in or a reset that waits: a thief who refreshes without
# a pause could put it off without end. For a lock that is not shared, all wait in turn.
_HELD = text(
    "SELECT roles, verified_at IS NOT NULL AS is_proven FROM users"
    " WHERE id = :id AND erased_at IS NULL FOR NO KEY UPDATE"
)
_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float")

_TEAMS = text("SELECT team_id, role FROM team_members WHERE user_id = :id AND accepted_at IS NOT NULL")


class Rights(NamedTuple):
    """The rights for a token, and their time (seconds since the epoch, by the database's clock).

    Attributes:
        is_proven: The person has proven the email address.
    """

    roles: frozenset[Role]
    teams: dict[UUID, TeamRole]
    is_proven: bool
    at: float


def hold(connection: Connection, user_id: UUID) -> None:
    """Lock the person's row: wait for all who came before, and delay others until the transaction ends.

    A transaction that locks sessions or grants of a person locks the person's row first. One order avoids deadlocks.
    """
    connection.execute(_HELD, {"id": user_id})


def of_user(connection: Connection, user_id: UUID) -> Rights | None:
    """The person's rights; None if there is no such person, or they are erased.

    It waits for a change that is under way: a token from before the change would be revoked at once.
    """
    held = connection.execute(_HELD, {"id": user_id}).one_or_none()
    if held is None:
        return None
    roles, is_proven = held
    teams = {team: TeamRole(role) for team, role in connection.execute(_TEAMS, {"id": user_id})}
    return Rights(frozenset(map(Role, roles)), teams, is_proven, now(connection))


def now(connection: Connection) -> float:
    """The current time by the clock of revocations. Read it after all locks for the token."""
    return float(connection.scalar(_NOW) or 0)


async def find(connection: AsyncConnection, user_id: UUID) -> Rights | None:
    """As `of_user`."""
    return await connection.run_sync(of_user, user_id)
