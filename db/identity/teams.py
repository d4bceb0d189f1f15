"""Teams of organizers and their members, owners or staff, who accept an invitation. A team always has an owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import and_, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.tables import TeamMemberRow, TeamRow, UserRow
from domain.identity import TeamRole
from domain.problems import ProblemType, Refused

MOST_MEMBERS: Final = 100
MOST_PARTS: Final = 20  # of one person; each of their tokens contains all


class Member(NamedTuple):
    """A member of a team; an invitation gives no rights until it is `accepted`."""

    user_id: UUID
    role: TeamRole
    accepted: bool


class Part(NamedTuple):
    """A membership as the person sees it."""

    team_id: UUID
    name: str
    role: TeamRole
    accepted: bool


class Team(NamedTuple):
    """A team with its members, those with an open invitation included."""

    id: UUID
    name: str
    members: Sequence[Member]


async def add(connection: AsyncConnection, team_id: UUID, name: str, owner: UUID) -> Team:
    """Create a team for an owner whose row the caller has locked.

    Raises:
        Refused: They belong to too many.
    """
    await _may_have_one_more(connection, owner)
    await connection.execute(insert(TeamRow).values(id=team_id, name=name))
    part = insert(TeamMemberRow).values(team_id=team_id, user_id=owner, role=TeamRole.OWNER, accepted_at=func.now())
    await connection.execute(part)
    return Team(team_id, name, [Member(owner, TeamRole.OWNER, accepted=True)])


async def find(connection: AsyncConnection, team_id: UUID) -> Team | None:
    """The team with its members, in order of role and id; None if there is none."""
    name = await connection.scalar(select(TeamRow.name).where(TeamRow.id == team_id))
    if name is None:
        return None
    rows = await connection.execute(
        select(TeamMemberRow.user_id, TeamMemberRow.role, TeamMemberRow.accepted_at)
        .where(TeamMemberRow.team_id == team_id)
        .order_by(TeamMemberRow.role, TeamMemberRow.user_id)
    )
    return Team(team_id, name, [Member(user_id, TeamRole(role), at is not None) for user_id, role, at in rows])


async def hold(connection: AsyncConnection, team_id: UUID) -> Team | None:
    """The team, locked for the rest of the transaction."""
    await connection.execute(select(TeamRow.id).where(TeamRow.id == team_id).with_for_update())
    return await find(connection, team_id)


async def put(connection: AsyncConnection, team: Team, user_id: UUID, role: TeamRole) -> None:
    """Invite a person to a locked team, or change a member's or an invited person's role.

    Raises:
        Refused: There is no such person, the team is full, or it would be left without an owner.
    """
    if len(team.members) >= MOST_MEMBERS and user_id not in {member.user_id for member in team.members}:
        raise Refused(ProblemType.WRONG_STATE, f"A team has {MOST_MEMBERS} members at most.")
    if await _lock(connection, user_id) is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such user.")
    if role is not TeamRole.OWNER:
        _keep_an_owner(team, user_id)
    member = upsert(TeamMemberRow).values(team_id=team.id, user_id=user_id, role=role)
    await connection.execute(
        member.on_conflict_do_update(
            index_elements=["team_id", "user_id"],
            set_={"role": role},
            where=text("team_members.role <> excluded.role"),  # an update without a change would end the tokens
        )
    )


async def of_person(connection: AsyncConnection, user_id: UUID) -> list[Part]:
    """The teams of a person, and then their newest invitations."""
    part = TeamMemberRow
    rows = await connection.execute(
        select(part.team_id, TeamRow.name, part.role, part.accepted_at)
        .join(TeamRow, TeamRow.id == part.team_id)
        .where(part.user_id == user_id)
        .order_by(part.accepted_at.is_(None), TeamRow.created_at.desc())
        .limit(5 * MOST_PARTS)
    )
    return [Part(team_id, name, TeamRole(role), at is not None) for team_id, name, role, at in rows]


async def accept(connection: AsyncConnection, user_id: UUID, team_id: UUID) -> bool:
    """Accept an invitation of a person whose row the caller has locked; False if there is none.

    Raises:
        Refused: They belong to too many teams.
    """
    mine = and_(TeamMemberRow.team_id == team_id, TeamMemberRow.user_id == user_id)
    found = (await connection.execute(select(TeamMemberRow.accepted_at).where(mine))).one_or_none()
    if found is None:
        return False
    if found.accepted_at is None:
        await _may_have_one_more(connection, user_id)
        await connection.execute(update(TeamMemberRow).where(mine).values(accepted_at=func.now()))
    return True


async def _may_have_one_more(connection: AsyncConnection, user_id: UUID) -> None:
    had = select(func.count()).where(TeamMemberRow.user_id == user_id, TeamMemberRow.accepted_at.is_not(None))
    if (await connection.scalar(had) or 0) >= MOST_PARTS:
        raise Refused(ProblemType.WRONG_STATE, f"A person belongs to {MOST_PARTS} teams at most.")


async def remove(connection: AsyncConnection, team: Team, user_id: UUID) -> None:
    """Remove a person, or an invitation, from a locked team; repeated, no change.

    Raises:
        Refused: It would leave the team without an owner.
    """
    _keep_an_owner(team, user_id)
    await _lock(connection, user_id)
    await connection.execute(
        delete(TeamMemberRow).where(TeamMemberRow.team_id == team.id, TeamMemberRow.user_id == user_id)
    )


async def _lock(connection: AsyncConnection, user_id: UUID) -> UUID | None:
    """Lock the person's row before the member's row, as an erasure does. None if there is no such person."""
    living = select(UserRow.id).where(UserRow.id == user_id, UserRow.erased_at.is_(None))
    return await connection.scalar(living.with_for_update())


def _keep_an_owner(team: Team, without: UUID) -> None:
    owners = {member.user_id for member in team.members if member.accepted and member.role is TeamRole.OWNER}
    if owners == {without}:
        raise Refused(ProblemType.WRONG_STATE, "A team needs an owner.")
