"""A person's rights over their data, over REST: export everything, erase the account."""

from __future__ import annotations

from datetime import datetime

import orjson
from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, Field

from api.auth.guards import Caller
from api.http.problems import documented
from api.http.schemas import Code, RequestModel
from api.identity.context import Identity, require_account
from api.identity.grants import Grant, OutsideAccount
from api.identity.grants import seen_by_owner as grant_of
from api.identity.passwords import GivenPassword
from api.identity.profile import Me
from api.identity.profile import seen_by_owner as profile_of
from api.identity.sessions import SessionSeen
from api.identity.sessions import seen_by_owner as session_of
from api.identity.teams import OwnPart
from api.identity.teams import seen_by_member as part_of
from db.identity import accounts, audit_log, erasure, grants, outside_accounts, second_factors, sessions, teams
from db.identity.accounts import Account
from db.identity.audit_log import NOBODY, ORIGIN, of_user
from db.identity.tables import AuditLogRow
from domain.bookings import Booking
from domain.problems import ProblemType

router = APIRouter(prefix="/v1/me", tags=["identity"])


class Farewell(RequestModel):
    """Proof that the owner asks for the erasure: `code` is needed if the account has a second factor."""

    password: GivenPassword
    code: Code | None = None


class HistoryEntry(BaseModel):
    """An action of this person, or on their account."""

    at: datetime
    action: str
    object: str
    user_agent: str | None = Field(default=None, description="Left out where another person did it")
    address: str | None = None


class Export(BaseModel):
    """All data about a person."""

    profile: Me
    sessions: list[SessionSeen]
    grants: list[Grant]
    outside_accounts: list[OutsideAccount]
    teams: list[OwnPart]
    history: list[HistoryEntry]
    bookings: list[Booking]


@router.get(
    "/export",
    name="export_my_data",
    summary="Export my data",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.UNAVAILABLE),
)
async def export(caller: Caller, context: Identity, request: Request, response: Response) -> Export:
    """Everything that is stored about me, bookings included. The export itself is recorded in the history."""
    bookings = await context.booking_history.of_caller(request.headers["authorization"])
    async with context.engine.begin() as connection:
        account = require_account(await accounts.find(connection, context.vault, caller.user_id))
        second_factor = await second_factors.is_in_force(connection, account.id)
        live = await sessions.live(connection, account.id)
        granted = await grants.live(connection, account.id)
        outside = await outside_accounts.of_person(connection, account.id)
        parts = await teams.of_person(connection, account.id)
        entries = await audit_log.about(connection, of_user(account.id))
        await context.record(connection, caller, "account.exported", of_user(account.id))
    response.headers["Cache-Control"] = "no-store"
    return Export(
        profile=profile_of(account, second_factor),
        sessions=[session_of(account, session, caller) for session in live],
        grants=[grant_of(grant) for grant in granted],
        outside_accounts=[OutsideAccount(**each._asdict()) for each in outside],
        teams=[part_of(part) for part in parts],
        history=[_history_entry(account, row) for row in entries],
        bookings=list(bookings),
    )


def _history_entry(account: Account, row: AuditLogRow) -> HistoryEntry:
    """An entry of the audit log; the origin of another person's action is not shown."""
    is_mine = row.actor in (of_user(account.id), NOBODY)
    origin = orjson.loads(account.key.open(ORIGIN, row.origin)) if row.origin and is_mine else {}
    seen = {name: origin.get(name) for name in ("user_agent", "address")}
    return HistoryEntry(at=row.at, action=row.action, object=row.object, **seen)


@router.delete(
    "",
    name="erase_my_account",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Erase my account",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN),
)
async def erase(body: Farewell, caller: Caller, context: Identity) -> None:
    """This cannot be undone. Bookings and payments stay, without a name; bought tickets stay valid."""
    await context.prove(caller.user_id, body.password, body.code)
    async with context.engine.begin() as connection:
        account = await context.account(connection, caller.user_id)
        await erasure.erase(connection, account.id)
        await context.record(connection, caller, "account.erased", of_user(account.id))
