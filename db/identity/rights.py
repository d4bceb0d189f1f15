"""What a person may do at this moment, as a token is to say it: roles, and parts in teams."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.identity import Role, TeamRole


class Rights(NamedTuple):
    roles: frozenset[Role]
    teams: dict[UUID, TeamRole]


def of_user(connection: Connection, user_id: UUID) -> Rights | None:
    """The person's rights; None if there is no such person.

    A change that is under way is waited for: a token from before it would be older than the revocation, and so end.
    """
    roles = connection.scalar(text("SELECT roles FROM users WHERE id = :id FOR SHARE"), {"id": user_id})
    if roles is None:
        return None
    teams = connection.execute(text("SELECT team_id, role FROM team_members WHERE user_id = :id"), {"id": user_id})
    return Rights(frozenset(map(Role, roles)), {team: TeamRole(role) for team, role in teams})


async def find(connection: AsyncConnection, user_id: UUID) -> Rights | None:
    """As `of_user`."""
    return await connection.run_sync(of_user, user_id)
