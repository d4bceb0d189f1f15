"""Owners of events: a person or a team, by one id, so that each service can check it by itself."""

from __future__ import annotations

from uuid import UUID

from api.auth.tokens import Principal
from domain.identity import Role, TeamRole

_STAFF = {Role.SUPPORT, Role.OPERATOR}


def may_change(caller: Principal, organizer_id: UUID) -> bool:
    """Whether the caller may publish and cancel: the organizer in person, an owner of the team, operators."""
    if Role.OPERATOR in caller.roles:
        return True
    commands = organizer_id == caller.user_id or caller.teams.get(organizer_id) is TeamRole.OWNER
    return commands and Role.ORGANIZER in caller.roles


def is_theirs(caller: Principal, organizer_id: UUID) -> bool:
    """Whether the event belongs to the caller, in person or as a member of the team."""
    return organizer_id == caller.user_id or organizer_id in caller.teams


def may_see(caller: Principal, organizer_id: UUID) -> bool:
    """Whether the caller may see what is not public: owners, the team's staff, support and operators."""
    return is_theirs(caller, organizer_id) or not caller.roles.isdisjoint(_STAFF)
