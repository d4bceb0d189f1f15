"""Teams of organizers: who belongs to them, as owner or staff. There is always an owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.tables import TeamMemberRow, TeamRow, UserRow
from domain.identity import TeamRole
from domain.problems import ProblemType, Refused


class Member(NamedTuple):
    user_id: UUID
    role: TeamRole


class Team(NamedTuple):
    id: UUID
    name: str
    members: Sequence[Member]


async def add(connection: AsyncConnection, name: str, owner: UUID) -> Team:
    """A new team, whose owner made it."""
    made = await connection.execute(insert(TeamRow).values(name=name).returning(TeamRow.id))
    team_id = made.scalar_one()
    await connection.execute(insert(TeamMemberRow).values(team_id=team_id, user_id=owner, role=TeamRole.OWNER))
    return Team(team_id, name, [Member(owner, TeamRole.OWNER)])


async def find(connection: AsyncConnection, team_id: UUID) -> Team | None:
    name = await connection.scalar(select(TeamRow.name).where(TeamRow.id == team_id))
    if name is None:
        return None
    rows = await connection.execute(
        select(TeamMemberRow.user_id, TeamMemberRow.role)
        .where(TeamMemberRow.team_id == team_id)
        .order_by(TeamMemberRow.role, TeamMemberRow.user_id)
    )
    return Team(team_id, name, [Member(user_id, TeamRole(role)) for user_id, role in rows])


async def hold(connection: AsyncConnection, team_id: UUID) -> Team | None:
    """The team, locked for the rest of the transaction."""
    await connection.execute(select(TeamRow.id).where(TeamRow.id == team_id).with_for_update())
    return await find(connection, team_id)


async def put(connection: AsyncConnection, team: Team, user_id: UUID, role: TeamRole) -> None:
    """Give a person a part in a team that is held.

    Raises:
        Refused: There is no such person, or it would leave the team without an owner.
    """
    if await _lock(connection, user_id) is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such user.")
    if role is not TeamRole.OWNER:
        _keep_an_owner(team, user_id)
    member = upsert(TeamMemberRow).values(team_id=team.id, user_id=user_id, role=role)
    await connection.execute(
        member.on_conflict_do_update(
            index_elements=["team_id", "user_id"],
            set_={"role": role},
            where=text("team_members.role <> excluded.role"),  # the same again would end the person's tokens
        )
    )


async def remove(connection: AsyncConnection, team: Team, user_id: UUID) -> None:
    """End a person's part in a team that is held; again is no error.

    Raises:
        Refused: It would leave the team without an owner.
    """
    _keep_an_owner(team, user_id)
    await _lock(connection, user_id)
    await connection.execute(
        delete(TeamMemberRow).where(TeamMemberRow.team_id == team.id, TeamMemberRow.user_id == user_id)
    )


async def _lock(connection: AsyncConnection, user_id: UUID) -> UUID | None:
    """The person's row before that of their part, as who erases a person locks them; None for nobody."""
    living = select(UserRow.id).where(UserRow.id == user_id, UserRow.erased_at.is_(None))
    return await connection.scalar(living.with_for_update())


def _keep_an_owner(team: Team, without: UUID) -> None:
    owners = {member.user_id for member in team.members if member.role is TeamRole.OWNER}
    if owners == {without}:
        raise Refused(ProblemType.WRONG_STATE, "A team needs an owner.")
