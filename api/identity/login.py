"""Our own log-in: proof of identity, and the tokens of a session. Every way to log in uses this module."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.tokens import LIFETIME, AccessTokens, Principal
from api.identity.context import IdentityContext
from db.identity import accounts, rights, second_factors, sessions
from db.identity.accounts import Account, Credentials
from db.identity.sessions import Rotation
from domain.problems import ProblemType, Refused

NO_STORE: Final = {"Cache-Control": "no-store"}


class Tokens(BaseModel):
    """The tokens of a session. `expires_in` is the lifetime of the access token in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = LIFETIME


class Proof(NamedTuple):
    """A password that has just been checked: against which credentials, and a better hash of it, if needed."""

    credentials: Credentials
    better_hash: str | None


async def prove(context: IdentityContext, email: str, password: str) -> Proof:
    """Check a password, outside of any transaction, since that takes its time; go on with `admit`.

    Raises:
        Refused: UNAUTHENTICATED: There is no such account, or the password is wrong; both have the same answer and take
            the same time. RATE_LIMITED: Too many tries have failed. UNAVAILABLE: Too many log in.
    """
    async with context.engine.connect() as connection:
        known = await accounts.credentials(connection, context.vault, email)
    fits, better_hash = await context.check_password(email, password, known)
    if known is None or not fits:
        if known:
            context.record_refusal("log-in.refused", known.user_id)
        raise _wrong_password()
    return Proof(known, better_hash)


async def admit(connection: AsyncConnection, context: IdentityContext, proof: Proof) -> Account:
    """The account, locked until the transaction ends; its second factor is still to be asked for.

    Raises:
        Refused: UNAUTHENTICATED: It has been erased or changed since.
    """
    credentials = proof.credentials
    account = await accounts.locked(connection, context.vault, credentials.user_id)
    if account is None or await accounts.credentials_of(connection, account.id) != credentials:
        raise _wrong_password()
    if proof.better_hash:
        await accounts.rehash(connection, credentials, proof.better_hash)
    return account


async def challenge(connection: AsyncConnection, account: Account) -> str | None:
    """A challenge that continues the log-in with a code; None where the account has no second factor."""
    if not await second_factors.is_in_force(connection, account.id):
        return None
    return await second_factors.challenge(connection, account.id)


class Tried(NamedTuple):
    """A try of a code that has just been counted: for whom, and for which challenge."""

    user_id: UUID
    word: str


async def try_challenge(context: IdentityContext, word: str) -> Tried:
    """Count one try of a code for a log-in that waits; go on with `admit_by_code`.

    Raises:
        Refused: UNAUTHENTICATED: The challenge is unknown, too old, or tried too often.
    """
    async with context.engine.begin() as connection:
        user_id = await second_factors.try_challenge(connection, word)
    if user_id is None:
        raise wrong_code()
    return Tried(user_id, word)


async def admit_by_code(connection: AsyncConnection, context: IdentityContext, tried: Tried, code: str) -> Account:
    """The account whose challenge was tried, locked until the transaction ends; the code is used up.

    Raises:
        Refused: UNAUTHENTICATED: The code is wrong, or was used before; or the challenge has ended since: another
            log-in has used it, or the password has changed.
    """
    account = await accounts.locked(connection, context.vault, tried.user_id)
    is_waiting = await second_factors.is_waiting(connection, tried.user_id, tried.word)
    if account is None or not is_waiting or not await second_factors.use(connection, account, code):
        context.record_refusal("code.refused", tried.user_id)
        raise wrong_code()
    await second_factors.end_challenges(connection, account.id)
    return account


async def enter(connection: AsyncConnection, context: IdentityContext, account: Account) -> Tokens | Refused:
    """The tokens of a new session, or the request for a second factor, which the caller raises after the commit."""
    word = await challenge(connection, account)
    if word is None:
        return await open_session(connection, context, account)
    return Refused(
        ProblemType.SECOND_FACTOR_REQUIRED,
        "Send the challenge with a code to /v1/sessions/second-factor.",
        challenge=word,
        expires_in=int(second_factors.CHALLENGE_LIFETIME.total_seconds()),
    )


async def open_session(connection: AsyncConnection, context: IdentityContext, account: Account) -> Tokens:
    """The tokens of a new session, after all proofs of identity."""
    session = await sessions.begin(connection, account.id, account.key.seal("device", context.origin()))
    tokens = await first_party_tokens(context.request, connection, session)
    caller = Principal(account.id, account.roles)
    await context.record(connection, caller, "session.opened", f"session/{session.session_id}")
    return tokens


async def first_party_tokens(request: Request, connection: AsyncConnection, session: Rotation) -> Tokens:
    """The tokens of a session that begins or goes on, with the person's current rights."""
    tokens: AccessTokens = request.app.state.tokens
    granted = await rights.find(connection, session.user_id)
    if granted is None:
        raise Refused(ProblemType.UNAUTHENTICATED, "The account no longer exists.")
    principal = Principal(
        session.user_id, granted.roles, granted.teams, session_id=session.session_id, is_proven=granted.is_proven
    )
    return Tokens(access_token=tokens.issue(principal, granted.at), refresh_token=session.refresh_token)


def _wrong_password() -> Refused:
    return Refused(ProblemType.UNAUTHENTICATED, "The email address or the password is wrong.")


def wrong_code() -> Refused:
    """The one answer to a wrong code and a bad challenge, so that it does not show which of them was wrong."""
    return Refused(ProblemType.UNAUTHENTICATED, "The challenge or the code is invalid or has expired. Log in again.")
