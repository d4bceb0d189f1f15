"""Our own log-in: who proves to be somebody, and the tokens of a session. Every way in comes through here."""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.passwords import is_password
from api.tokens import LIFETIME, AccessTokens, Principal
from db.identity import accounts, rights
from db.identity.sessions import Rotation
from domain.problems import ProblemType, Refused

NO_STORE: Final = {"Cache-Control": "no-store"}


class Tokens(BaseModel):
    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = LIFETIME


async def prove(engine: AsyncEngine, email: str, password: str) -> UUID:
    """Whose account it is.

    Raises:
        Refused: There is no such account, or the password is wrong; the two look alike and take the same time.
    """
    async with engine.connect() as connection:
        known = await accounts.credentials(connection, email)
    fits = await is_password(password, known.password_hash if known else None)
    if known is None or not fits:
        raise Refused(ProblemType.UNAUTHENTICATED, "Address or password is wrong.")
    return known.user_id


async def first_party_tokens(request: Request, connection: AsyncConnection, session: Rotation) -> Tokens:
    """The tokens of a session that begins or goes on, with what its person may do at this moment."""
    tokens: AccessTokens = request.app.state.tokens
    granted = await rights.find(connection, session.user_id)
    if granted is None:
        raise Refused(ProblemType.UNAUTHENTICATED, "The account does not exist any more.")
    principal = Principal(session.user_id, granted.roles, granted.teams, session_id=session.session_id)
    return Tokens(access_token=tokens.issue(principal), refresh_token=session.refresh_token)
