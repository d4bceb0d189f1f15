"""Teams of organizers over REST: create and read a team, invite people, accept or decline an invitation."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response, status
from pydantic import BaseModel, Field

from api.auth.guards import Caller, OrganizerInPerson, OrganizerOrOperatorInPerson
from api.auth.tokens import Principal
from api.http.idempotency import IdempotencyKey, creation_key, digest, refuse_other_body
from api.http.preconditions import Precondition, tagged
from api.http.problems import documented
from api.http.schemas import Name, RequestModel
from api.identity.context import Identity
from db import creation_keys
from db.identity import teams
from db.identity.audit_log import of_user
from db.identity.tables import CreationKeyRow
from db.identity.teams import Team
from domain.identity import Role, TeamRole
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/teams", tags=["identity"])
own_router = APIRouter(prefix="/v1/me/teams", tags=["identity"])


class NewTeam(RequestModel):
    """A team that does not exist yet."""

    name: Name = Field(examples=["Globe Theatre"])


class Part(RequestModel):
    """What the person is in the team: owner or staff."""

    role: TeamRole


class MemberBody(BaseModel):
    """A member of a team, or an invited person."""

    user_id: UUID
    role: TeamRole
    accepted: bool = Field(description="False for an invitation, which gives no rights")


class TeamBody(BaseModel):
    """A team with its members and invitations."""

    id: UUID
    name: str
    members: list[MemberBody]


class OwnPart(BaseModel):
    """A team that I belong to, or am invited to."""

    team_id: UUID
    name: str
    role: TeamRole
    accepted: bool


class OwnParts(BaseModel):
    """The teams that I belong to, or am invited to."""

    teams: list[OwnPart]


_PROBLEMS = documented(
    ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.NOT_FOUND, ProblemType.WRONG_STATE
)
_CREATION_PROBLEMS = documented(
    ProblemType.UNAUTHENTICATED,
    ProblemType.FORBIDDEN,
    ProblemType.WRONG_STATE,
    ProblemType.IDEMPOTENCY_KEY_REUSED,
)
_CHANGE_PROBLEMS = documented(
    ProblemType.UNAUTHENTICATED,
    ProblemType.FORBIDDEN,
    ProblemType.NOT_FOUND,
    ProblemType.WRONG_STATE,
    ProblemType.PRECONDITION_FAILED,
)


@router.post(
    "", status_code=status.HTTP_201_CREATED, summary="Create a team (organizers)", responses=_CREATION_PROBLEMS
)
async def create_team(
    body: NewTeam, caller: OrganizerInPerson, context: Identity, response: Response, key: IdempotencyKey
) -> TeamBody:
    """You become its owner. Refresh your tokens before you draft an event for it. One key creates one team."""
    async with context.engine.begin() as connection:
        await context.account(connection, caller.user_id)
        claim = await creation_keys.claim(connection, CreationKeyRow, creation_key(caller.user_id, key), digest(body))
        refuse_other_body(claim.body_sha256, digest(body))
        if claim.is_new:
            team = await teams.add(connection, claim.id, body.name, caller.user_id)
            await context.record(connection, caller, "team.made", f"team/{team.id}")
        else:
            team = _theirs(caller, await teams.find(connection, claim.id))
    response.headers["Location"] = f"/v1/teams/{team.id}"
    return tagged(response, _body(team))


@router.get("/{team_id}", name="get_team", summary="Read a team (its members)", responses=_PROBLEMS)
async def get_team(team_id: UUID, caller: Caller, context: Identity, response: Response) -> TeamBody:
    """Callers who do not belong to the team get 404, except operators, of whom the audit log has each read."""
    async with context.engine.begin() as connection:
        team = _theirs(caller, await teams.find(connection, team_id))
        if caller.user_id not in _members(team):
            await context.record(connection, caller, "team.looked-at", f"team/{team_id}")
    return tagged(response, _body(team))


@router.put(
    "/{team_id}/members/{user_id}",
    name="put_team_member",
    summary="Invite a person, or change a member's role (its owners, operators)",
    responses=_CHANGE_PROBLEMS,
)
async def put_member(
    team_id: UUID,
    user_id: UUID,
    body: Part,
    caller: OrganizerOrOperatorInPerson,
    context: Identity,
    if_match: Precondition,
    response: Response,
) -> TeamBody:
    """The person accepts by `PUT /v1/me/teams/{team_id}`. A changed role ends earlier tokens."""
    async with context.engine.begin() as connection:
        team = _owned(caller, await teams.hold(connection, team_id))
        if_match.check(_body(team))
        is_new = await teams.put(connection, team, user_id, body.role)
        changed = await teams.find(connection, team_id)
        if is_new:
            await context.record(connection, caller, f"team.member-put:{team_id}:{body.role}", of_user(user_id))
    return tagged(response, _body(changed))


@router.delete(
    "/{team_id}/members/{user_id}",
    name="remove_team_member",
    summary="Remove a member (its owners, operators)",
    responses=_CHANGE_PROBLEMS,
)
async def remove_member(
    team_id: UUID,
    user_id: UUID,
    caller: OrganizerOrOperatorInPerson,
    context: Identity,
    if_match: Precondition,
    response: Response,
) -> TeamBody:
    """The member's tokens end within seconds, and new ones do not name the team."""
    async with context.engine.begin() as connection:
        team = _owned(caller, await teams.hold(connection, team_id))
        if_match.check(_body(team))
        was_there = await teams.remove(connection, team, user_id)
        changed = await teams.find(connection, team_id)
        if was_there:
            await context.record(connection, caller, f"team.member-removed:{team_id}", of_user(user_id))
    return tagged(response, _body(changed))


@own_router.get(
    "", name="list_my_teams", summary="List my teams and invitations", responses=documented(ProblemType.UNAUTHENTICATED)
)
async def my_teams(caller: Caller, context: Identity) -> OwnParts:
    """An entry with `accepted` false is an invitation: accept or decline it."""
    async with context.engine.connect() as connection:
        return OwnParts(teams=[seen_by_member(part) for part in await teams.of_person(connection, caller.user_id)])


@own_router.put(
    "/{team_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Join a team that has invited me", responses=_PROBLEMS
)
async def join_team(team_id: UUID, caller: Caller, context: Identity) -> None:
    """Your next tokens name the team. Joining twice is no error."""
    async with context.engine.begin() as connection:
        await context.account(connection, caller.user_id)
        is_new = await teams.accept(connection, caller.user_id, team_id)
        if is_new is None:
            raise _no_such_team()
        if is_new:
            await context.record(connection, caller, "team.joined", f"team/{team_id}")


@own_router.delete(
    "/{team_id}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Leave a team, or decline an invitation",
    responses=_PROBLEMS,
)
async def leave_team(team_id: UUID, caller: Caller, context: Identity) -> None:
    """The last owner cannot leave. Tokens that name the team end within seconds."""
    async with context.engine.begin() as connection:
        team = await teams.hold(connection, team_id)
        if team is None or caller.user_id not in {member.user_id for member in team.members}:
            raise _no_such_team()
        await teams.remove(connection, team, caller.user_id)
        await context.record(connection, caller, "team.left", f"team/{team_id}")


def seen_by_member(part: teams.Part) -> OwnPart:
    """The membership as the API answers it to that person."""
    return OwnPart(**part._asdict())


def _no_such_team() -> Refused:
    return Refused(ProblemType.NOT_FOUND, "There is no such team.")


def _theirs(caller: Principal, team: Team | None) -> Team:
    """The team, if the caller belongs to it or is an operator; other callers get 404."""
    if team is None:
        raise _no_such_team()
    if caller.user_id not in _members(team) and Role.OPERATOR not in caller.roles:
        raise _no_such_team()
    return team


def _members(team: Team) -> set[UUID]:
    return {member.user_id for member in team.members if member.accepted}


def _owned(caller: Principal, team: Team | None) -> Team:
    theirs = _theirs(caller, team)
    if (caller.user_id, TeamRole.OWNER, True) not in theirs.members and Role.OPERATOR not in caller.roles:
        raise Refused(ProblemType.FORBIDDEN, "Only the team's owners may do this.")
    return theirs


def _body(team: Team | None) -> TeamBody:
    assert team is not None
    return TeamBody(id=team.id, name=team.name, members=[MemberBody(**member._asdict()) for member in team.members])
