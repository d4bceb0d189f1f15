"""Finds people for support by their address, which is stored as a keyed hash alone."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.auth.guards import Staff
from api.http.problems import documented
from api.http.schemas import GivenAddress, RequestModel
from api.identity.context import Identity
from db.identity import accounts
from db.identity.audit_log import of_user
from domain.problems import ProblemType

router = APIRouter(prefix="/v1/support", tags=["support"])


class PersonQuery(RequestModel):
    """Whom to find. It is a body, since addresses of calls get into logs."""

    email: GivenAddress = Field(examples=["buyer@example.test"])


class FoundPerson(BaseModel):
    """An account; its profile stays sealed."""

    id: UUID
    created_at: datetime
    verified_at: datetime | None = Field(description="When the owner proved to read the address's mail; null if never")


class FoundPeople(BaseModel):
    """The accounts that match: one or none."""

    people: list[FoundPerson] = Field(description="One person or none")


@router.post("/people", summary="Find a person by e-mail address", responses=documented(ProblemType.FORBIDDEN))
async def find_people(query: PersonQuery, caller: Staff, context: Identity) -> FoundPeople:
    """Answer the account's id, with which `GET /v1/support/bookings?user_id=` finds bookings. Each call is recorded."""
    async with context.engine.begin() as connection:
        found = await accounts.find_by_address(connection, context.vault, query.email)
        object_ = of_user(found.id) if found else "user/unknown"
        await context.record(connection, caller, "person.searched", object_)
    if found is None:
        return FoundPeople(people=[])
    person = FoundPerson(id=found.id, created_at=found.created_at, verified_at=found.verified_at)
    return FoundPeople(people=[person])
