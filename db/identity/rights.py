"""What a person may do at this moment, as a token is to say it: roles, and parts in teams."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.identity import Role, TeamRole

_HELD = text("SELECT roles FROM users WHERE id = :id AND erased_at IS NULL FOR SHARE")
_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float")

_TEAMS = text("SELECT team_id, role FROM team_members WHERE user_id = :id AND accepted_at IS NOT NULL")


class Rights(NamedTuple):
    """What a token is to say, and as of when (seconds since the epoch, by the database's clock)."""

    roles: frozenset[Role]
    teams: dict[UUID, TeamRole]
    at: float


def hold(connection: Connection, user_id: UUID) -> None:
    """Wait for a change of the person that is under way, and let none begin before the transaction ends.

    Whoever locks sessions or grants of a person comes here first or locks the person's row: in one order nobody waits
    in a circle.
    """
    connection.execute(_HELD, {"id": user_id})


def of_user(connection: Connection, user_id: UUID) -> Rights | None:
    """The person's rights; None if there is no such person, or no more.

    A change that is under way is waited for: a token from before it would be older than the revocation, and so end.
    """
    roles = connection.scalar(_HELD, {"id": user_id})
    if roles is None:
        return None
    teams = connection.execute(_TEAMS, {"id": user_id})
    return Rights(frozenset(map(Role, roles)), {team: TeamRole(role) for team, role in teams}, now(connection))


def now(connection: Connection) -> float:
    """The moment by the clock that revocations go by; read after whatever is locked for the token."""
    return float(connection.scalar(_NOW) or 0)


async def find(connection: AsyncConnection, user_id: UUID) -> Rights | None:
    """As `of_user`."""
    return await connection.run_sync(of_user, user_id)
