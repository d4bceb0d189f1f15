"""Finds people for support by their address or name, of which identity can compare keyed hashes alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.guards import Staff
from api.http.problems import documented
from api.http.schemas import GivenAddress, Name, RequestModel
from api.identity.context import Identity
from db.identity import accounts
from db.identity.audit_log import of_user
from db.identity.vault import Vault
from domain.problems import ProblemType, other_list

router = APIRouter(prefix="/v1/support", tags=["support"])


class PersonQuery(RequestModel):
    """Whom to find: exactly one of the two. It is a body, since addresses of calls get into logs."""

    email: GivenAddress | None = Field(None, examples=["buyer@example.test"])
    name: Name | None = Field(None, description="The whole name, in any order, case and spelling of accents")

    @model_validator(mode="after")
    def _one_of_two(self) -> PersonQuery:
        if (self.email is None) == (self.name is None):
            raise ValueError("give either email or name")
        return self


class FoundPerson(BaseModel):
    """An account; its profile stays sealed."""

    id: UUID
    created_at: datetime
    verified_at: datetime | None = Field(description="When the owner proved to read the address's mail; null if never")


class FoundPeople(BaseModel):
    """A page of the accounts that match."""

    people: list[FoundPerson] = Field(
        description="One person or none by address; by name those with a confirmed address first, then the newest, "
        f"{accounts.MOST_FOUND} on a page"
    )
    next_cursor: UUID | None = Field(description="Send it as `cursor` to read the next page; null on the last one.")


@router.post(
    "/people",
    summary="Find people by email address or name",
    responses=documented(ProblemType.FORBIDDEN, ProblemType.INVALID_REQUEST),
)
async def find_people(
    query: PersonQuery,
    caller: Staff,
    context: Identity,
    cursor: Annotated[UUID | None, Query(description="The `next_cursor` of the previous page.")] = None,
) -> FoundPeople:
    """Answer the accounts' ids, with which `GET /v1/support/bookings?user_id=` finds bookings.

    Each call is recorded in the audit log.
    """
    async with context.engine.begin() as connection:
        with_next = await _found(connection, context.vault, query, cursor)
        found = with_next[: accounts.MOST_FOUND]
        for object_ in [of_user(each.id) for each in found] or ["user/unknown"]:
            await context.record(connection, caller, "person.searched", object_)
    return FoundPeople(people=found, next_cursor=found[-1].id if len(with_next) > len(found) else None)


async def _found(
    connection: AsyncConnection, vault: Vault, query: PersonQuery, cursor: UUID | None
) -> list[FoundPerson]:
    if query.name is not None:
        named = await accounts.find_by_name(connection, vault, query.name, cursor)
        return [FoundPerson(**each._asdict()) for each in named]
    if cursor:
        raise other_list()  # there is one account of an address at most
    account = await accounts.find_by_address(connection, vault, query.email or "")
    if account is None:
        return []
    return [FoundPerson(id=account.id, created_at=account.created_at, verified_at=account.verified_at)]
