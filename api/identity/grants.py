"""Who else can use a person's account: applications with a grant, and providers to log in with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, status
from pydantic import BaseModel, StringConstraints

from api.auth.guards import Caller
from api.http.problems import documented
from api.http.schemas import Storable
from api.identity.context import Identity
from db.identity import consents, grants, outside_accounts
from domain.identity import Scope
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/me", tags=["identity"])

Provider = Annotated[str, StringConstraints(min_length=1, max_length=100), Storable]


class Grant(BaseModel):
    """What a third-party application may do in my name."""

    id: UUID
    client_id: UUID
    client: str
    scopes: list[Scope]
    granted_at: datetime


class GrantList(BaseModel):
    """My grants that have not ended."""

    grants: list[Grant]


class Consent(BaseModel):
    """What I have allowed an application: it does not ask me for that again."""

    client_id: UUID
    client: str
    scopes: list[Scope]
    given_at: datetime


class ConsentList(BaseModel):
    """Everything that I have allowed applications."""

    consents: list[Consent]


class OutsideAccount(BaseModel):
    """A provider that I can log in with."""

    provider: str
    linked_at: datetime


class OutsideAccountList(BaseModel):
    """All providers that I can log in with."""

    outside_accounts: list[OutsideAccount]


@router.get(
    "/grants",
    name="list_my_grants",
    summary="List my grants to applications",
    responses=documented(ProblemType.UNAUTHENTICATED),
)
async def my_grants(caller: Caller, context: Identity) -> GrantList:
    """Third-party applications that can use my account, and for what. End a grant with `DELETE`."""
    async with context.engine.connect() as connection:
        return GrantList(grants=[seen_by_owner(each) for each in await grants.live(connection, caller.user_id)])


@router.delete(
    "/grants/{grant_id}",
    name="revoke_my_grant",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Revoke a grant",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.NOT_FOUND),
)
async def end_grant(grant_id: UUID, caller: Caller, context: Identity) -> None:
    """The refresh token ends at once, the access token within seconds. The application has to ask again."""
    async with context.engine.begin() as connection:
        await context.account(connection, caller.user_id)
        if not await grants.end_own(connection, caller.user_id, grant_id):
            raise Refused(ProblemType.NOT_FOUND, "There is no such grant, or it has ended.")
        await context.record(connection, caller, "grant.ended", f"grant/{grant_id}")


@router.get(
    "/consents",
    name="list_my_consents",
    summary="List what I have allowed applications",
    responses=documented(ProblemType.UNAUTHENTICATED),
)
async def my_consents(caller: Caller, context: Identity) -> ConsentList:
    """What applications may get without asking me again, even if they have no valid token."""
    async with context.engine.connect() as connection:
        return ConsentList(consents=[consent_of(each) for each in await consents.live(connection, caller.user_id)])


@router.delete(
    "/consents/{client_id}",
    name="withdraw_my_consent",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Withdraw what I have allowed an application",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.NOT_FOUND),
)
async def withdraw_consent(client_id: UUID, caller: Caller, context: Identity) -> None:
    """All its grants end, too: refresh tokens at once, access tokens within seconds. It has to ask again."""
    async with context.engine.begin() as connection:
        await context.account(connection, caller.user_id)
        if not await connection.run_sync(grants.withdraw, caller.user_id, client_id):
            raise Refused(ProblemType.NOT_FOUND, "This application has no access to your account.")
        await context.record(connection, caller, "consent.withdrawn", f"client/{client_id}")


@router.get(
    "/outside-accounts",
    name="list_my_outside_accounts",
    summary="List the outside providers of my account",
    responses=documented(ProblemType.UNAUTHENTICATED),
)
async def my_outside_accounts(caller: Caller, context: Identity) -> OutsideAccountList:
    """The providers that I can log in with in place of my password."""
    async with context.engine.connect() as connection:
        found = await outside_accounts.of_person(connection, caller.user_id)
    return OutsideAccountList(outside_accounts=[OutsideAccount(**each._asdict()) for each in found])


@router.delete(
    "/outside-accounts/{provider}",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Unlink an outside provider",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.NOT_FOUND),
)
async def unlink_outside_account(provider: Provider, caller: Caller, context: Identity) -> None:
    """Without a password, set one first, by `PUT /v1/me/password` or `POST /v1/password-resets`."""
    async with context.engine.begin() as connection:
        account = await context.account(connection, caller.user_id)
        if not await outside_accounts.unlink(connection, account.id, provider):
            raise Refused(ProblemType.NOT_FOUND, "This provider is not linked to your account.")
        await context.record(connection, caller, "outside-account.unlinked", f"user/{account.id}")


def seen_by_owner(grant: grants.Granted) -> Grant:
    """The grant as the API answers it, with its scopes in order."""
    return Grant(**grant._asdict() | {"scopes": sorted(grant.scopes)})


def consent_of(consent: consents.Consent) -> Consent:
    """The consent as the API answers it, with its scopes in order."""
    return Consent(**consent._asdict() | {"scopes": sorted(consent.scopes)})
