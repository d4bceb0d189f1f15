"""Teams of organizers and their members, owners or staff, who accept an invitation. A team always has an owner."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Select, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.tables import CreationKeyRow, DomainEventRow, TeamMemberRow, TeamRow, UserRow
from db.outbox import append
from domain.domain_events import UserInvitedToTeam
from domain.identity import TeamRole
from domain.problems import ProblemType, Refused

MOST_MEMBERS: Final = 100
MOST_PARTS: Final = 20  # of one person; each of their tokens contains all
_PAUSE: Final = timedelta(minutes=1)  # between two mails to one person
_PAUSE_OF_A_TEAM: Final = timedelta(days=1)  # between two for the same team


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


async def hold_all(connection: AsyncConnection, user_id: UUID) -> set[UUID]:
    """Lock all teams that the person belongs to, in one order; return them. Lock the person's row after them."""
    theirs = await connection.scalars(
        select(TeamRow.id).where(TeamRow.id.in_(_belongs_to(user_id))).order_by(TeamRow.id).with_for_update()
    )
    return set(theirs)


async def dissolve_own(connection: AsyncConnection, user_id: UUID, held: Collection[UUID]) -> None:
    """Delete the teams that have no other member than a person whose row the caller has locked, and their invitations.

    The idempotency keys that made them go, too: each keeps a digest of the name.

    Args:
        connection: Within a transaction.
        user_id: The person.
        held: The teams that `hold_all` has locked.

    Raises:
        Refused: WRONG_STATE: Teams with other members would be left without an owner; `teams` names them. UNAVAILABLE:
            The person has just joined another team.
    """
    mine: list[UUID] = list(await connection.scalars(_belongs_to(user_id)))
    if not set(mine) <= set(held):
        raise Refused(ProblemType.UNAVAILABLE, "Your teams are changing at this moment. Try again.")
    found = [team for team_id in mine if (team := await find(connection, team_id))]
    if ownerless := [team.id for team in found if _accepted(team) != {user_id} and _owners(team) == {user_id}]:
        detail = "You are the only owner of teams with other members. Make another member an owner, or remove them."
        raise Refused(ProblemType.WRONG_STATE, detail, teams=ownerless)
    alone = [team.id for team in found if _accepted(team) == {user_id}]
    await connection.execute(delete(TeamMemberRow).where(TeamMemberRow.team_id.in_(alone)))
    await connection.execute(delete(TeamRow).where(TeamRow.id.in_(alone)))
    await connection.execute(delete(CreationKeyRow).where(CreationKeyRow.created_id.in_(alone)))


def _belongs_to(user_id: UUID) -> Select[UUID]:
    part = TeamMemberRow
    return select(part.team_id).where(part.user_id == user_id, part.accepted_at.is_not(None))


def _accepted(team: Team) -> set[UUID]:
    return {member.user_id for member in team.members if member.accepted}


def _owners(team: Team) -> set[UUID]:
    return {member.user_id for member in team.members if member.accepted and member.role is TeamRole.OWNER}


async def put(connection: AsyncConnection, team: Team, user_id: UUID, role: TeamRole) -> bool:
    """Invite a person to a locked team, or change a member's or an invited person's role. False if nothing changes.

    A mail goes to a person who is invited, but for those who have just had one.

    Raises:
        Refused: There is no such person, the team is full, or it would be left without an owner.
    """
    if len(team.members) >= MOST_MEMBERS and user_id not in {member.user_id for member in team.members}:
        raise Refused(ProblemType.WRONG_STATE, f"A team has {MOST_MEMBERS} members at most.")
    if await _lock(connection, user_id) is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such user.")
    if role is not TeamRole.OWNER:
        _keep_an_owner(team, user_id)
    if user_id not in {member.user_id for member in team.members} and not await _has_a_mail(connection, user_id, team):
        await append(connection, user_id, UserInvitedToTeam(user_id=user_id, team_id=team.id))
    member = upsert(TeamMemberRow).values(team_id=team.id, user_id=user_id, role=role)
    changed = await connection.execute(
        member.on_conflict_do_update(
            index_elements=["team_id", "user_id"],
            set_={"role": role},
            where=text("team_members.role <> excluded.role"),  # an update without a change would end the tokens
        ).returning(TeamMemberRow.user_id)
    )
    return changed.first() is not None


async def _has_a_mail(connection: AsyncConnection, user_id: UUID, team: Team) -> bool:
    """Whether a person whose row is locked has just had a mail about an invitation, perhaps a withdrawn one."""
    row = DomainEventRow
    mailed = select(row.id).where(
        row.aggregate_id == user_id,
        row.type == UserInvitedToTeam.model_fields["type"].default,
        or_(
            row.occurred_at > func.now() - _PAUSE,
            and_(row.occurred_at > func.now() - _PAUSE_OF_A_TEAM, row.data["team_id"].astext == str(team.id)),
        ),
    )
    return await connection.scalar(mailed.limit(1)) is not None


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


async def accept(connection: AsyncConnection, user_id: UUID, team_id: UUID) -> bool | None:
    """Accept an invitation of a person whose row the caller has locked; None if there is none, False if repeated.

    Raises:
        Refused: They belong to too many teams.
    """
    mine = and_(TeamMemberRow.team_id == team_id, TeamMemberRow.user_id == user_id)
    found = (await connection.execute(select(TeamMemberRow.accepted_at).where(mine))).one_or_none()
    if found is None:
        return None
    if found.accepted_at is not None:
        return False
    await _may_have_one_more(connection, user_id)
    await connection.execute(update(TeamMemberRow).where(mine).values(accepted_at=func.now()))
    return True


async def _may_have_one_more(connection: AsyncConnection, user_id: UUID) -> None:
    had = select(func.count()).where(TeamMemberRow.user_id == user_id, TeamMemberRow.accepted_at.is_not(None))
    if (await connection.scalar(had) or 0) >= MOST_PARTS:
        raise Refused(ProblemType.WRONG_STATE, f"A person belongs to {MOST_PARTS} teams at most.")


async def remove(connection: AsyncConnection, team: Team, user_id: UUID) -> bool:
    """Remove a person, or an invitation, from a locked team; False if there is no such person in it.

    Raises:
        Refused: It would leave the team without an owner.
    """
    _keep_an_owner(team, user_id)
    await _lock(connection, user_id)
    gone = await connection.execute(
        delete(TeamMemberRow).where(TeamMemberRow.team_id == team.id, TeamMemberRow.user_id == user_id)
    )
    return gone.rowcount > 0


async def _lock(connection: AsyncConnection, user_id: UUID) -> UUID | None:
    """Lock the person's row before the member's row, as an erasure does. None if there is no such person."""
    living = select(UserRow.id).where(UserRow.id == user_id, UserRow.erased_at.is_(None))
    return await connection.scalar(living.with_for_update())


def _keep_an_owner(team: Team, without: UUID) -> None:
    if _owners(team) == {without}:
        raise Refused(ProblemType.WRONG_STATE, "A team needs an owner.")
