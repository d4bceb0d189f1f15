"""A person's sessions, over REST: list them, and log out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import orjson
from fastapi import APIRouter, status
from pydantic import BaseModel, Field

from api.auth.guards import Caller
from api.auth.tokens import Principal
from api.http.problems import documented
from api.identity.context import Identity, require_account
from db.identity import accounts, sessions
from db.identity.accounts import Account
from db.identity.sessions import Session
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/me/sessions", tags=["identity"])


class SessionSeen(BaseModel):
    """An open session. `user_agent` and `address` are those of its log-in."""

    id: UUID
    created_at: datetime
    last_used_at: datetime
    current: bool = Field(description="Whether this request belongs to it")
    user_agent: str | None = None
    address: str | None = None


class SessionList(BaseModel):
    """All my open sessions."""

    sessions: list[SessionSeen]


@router.get("", name="list_my_sessions", summary="List my sessions", responses=documented(ProblemType.UNAUTHENTICATED))
async def list_sessions(caller: Caller, context: Identity) -> SessionList:
    """Sessions of our own log-in; what applications may do is at `/v1/me/grants`."""
    async with context.engine.connect() as connection:
        account = require_account(await accounts.find(connection, context.vault, caller.user_id))
        found = await sessions.live(connection, account.id)
    return SessionList(sessions=[seen_by_owner(account, session, caller) for session in found])


@router.delete(
    "/{session_id}",
    name="log_out_of_session",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Log out of a session",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.NOT_FOUND),
)
async def end_session(session_id: UUID, caller: Caller, context: Identity) -> None:
    """The refresh token ends at once, the access token within seconds."""
    async with context.engine.begin() as connection:
        if not await sessions.end(connection, caller.user_id, session_id):
            raise Refused(ProblemType.NOT_FOUND, "There is no such session, or it has ended.")
        await context.record(connection, caller, "session.ended", f"session/{session_id}")


@router.delete(
    "",
    name="log_out_everywhere",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Log out everywhere",
    responses=documented(ProblemType.UNAUTHENTICATED),
)
async def end_sessions(caller: Caller, context: Identity) -> None:
    """Grants to third-party applications end, too."""
    async with context.engine.begin() as connection:
        await context.account(connection, caller.user_id)
        await sessions.end_all(connection, caller.user_id)
        await context.record(connection, caller, "sessions.ended", f"user/{caller.user_id}")


def seen_by_owner(account: Account, session: Session, caller: Principal) -> SessionSeen:
    """The session with its device, which is stored sealed."""
    device = orjson.loads(account.key.open("device", session.device)) if session.device else {}
    return SessionSeen(
        id=session.id,
        created_at=session.created_at,
        last_used_at=session.last_used_at,
        current=session.id == caller.session_id,
        **device,
    )
