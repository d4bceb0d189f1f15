"""Proof of identity by a person who is logged in: the password, or a fresh log-in with an outside provider.

A stolen access token is not enough for what these proofs protect, and a person who registered with one has no password.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.schemas import RequestModel, Storable
from api.identity.context import IdentityContext
from api.identity.notes import LASTS, open_note, seal_note
from api.identity.passwords import GivenPassword
from config.settings import Settings
from db.identity import accounts, outside_accounts, second_factors
from db.identity.accounts import Account, Credentials
from db.identity.audit_log import of_user
from domain.problems import ProblemType, Refused

_ABOUT: Final = "fresh log-in"

ProofToken = Annotated[str, StringConstraints(min_length=1, max_length=4000), Storable]


class FreshLogIn(BaseModel):
    """Proof that I have just logged in with my provider. It opens no session."""

    proof_token: str = Field(description="Send it in place of the password, with my access token")
    expires_in: int = Field(default=LASTS, description="In seconds")


class Proof(RequestModel):
    """My current password, or else the `proof_token` of a fresh log-in with my provider."""

    proof_token: ProofToken | None = None
    password: GivenPassword | None = Field(default=None, validate_default=True)

    @field_validator("password")
    @classmethod
    def _one_proof(cls, password: str | None, info: ValidationInfo) -> str | None:
        return one_proof(password, info)


class _Outside(NamedTuple):
    """An account at a provider."""

    provider: str
    subject: str


class Proven(NamedTuple):
    """What a proof was checked against. It counts only as long as nothing of it changes: go on with `admit`.

    Attributes:
        outside: Where the person has just logged in; None for a password.
        without_code: The account had no second factor, so that no code was needed.
    """

    credentials: Credentials
    outside: _Outside | None = None
    without_code: bool = False


def one_proof(password: str | None, info: ValidationInfo) -> str | None:
    """The password, if there is either that or a `proof_token`, which the model has before it."""
    has_token = info.data.get("proof_token", "invalid") is not None
    if password is None and not has_token:
        raise PydanticCustomError("missing", "is required without a proof_token")
    if password is not None and has_token:
        raise PydanticCustomError("repeated", "must not be given together with a proof_token")
    return password


def proof_token(settings: Settings, provider: str, subject: str) -> FreshLogIn:
    """The proof of a fresh log-in with the provider as `subject`."""
    return FreshLogIn(proof_token=seal_note(settings, {"provider": provider, "subject": subject}, _ABOUT))


async def prove(context: IdentityContext, user_id: UUID, password: str | None, proof_token: str | None) -> Proven:
    """Check the one proof that a person who is logged in has given, outside of any transaction, since it takes time.

    Raises:
        Refused: FORBIDDEN: The password is wrong, or the token is not valid for this person. RATE_LIMITED: Too many
            tries with a password have failed.
    """
    if proof_token is None:
        return Proven(await context.prove_password(user_id, password or ""))
    async with context.proving():
        proven = await _logged_in(context, user_id, proof_token)
        if proven is None:
            context.record_refusal("proof.refused", user_id, actor=of_user(user_id))
            raise Refused(
                ProblemType.FORBIDDEN,
                "The proof_token has expired, or its provider is not linked to your account. Log in with it again.",
            )
    return proven


async def prove_fully(context: IdentityContext, user_id: UUID, proof: Proof, code: str | None) -> Proven:
    """Check the proof and the second factor, if there is one, before the account is weakened or erased.

    Raises:
        Refused: FORBIDDEN: The proof is wrong, or the code.
    """
    proven = await prove(context, user_id, proof.password, proof.proof_token)
    async with context.engine.begin() as connection:
        if not await second_factors.is_in_force(connection, user_id):
            return proven._replace(without_code=True)
        if code:
            await second_factors.count_try(connection, user_id)
    async with context.proving(), context.engine.begin() as connection:
        account = await context.account(connection, user_id)
        if not (code and await second_factors.use(connection, account, code)):
            context.record_refusal("code.refused", user_id, actor=of_user(user_id))
            raise Refused(ProblemType.FORBIDDEN, "The second-factor code is missing, wrong or already used.")
    return proven


async def admit(connection: AsyncConnection, context: IdentityContext, proven: Proven) -> Account:
    """The account whose owner has given a proof, locked until the transaction ends.

    Another transaction may have changed the account since the proof was checked: the owner may have reset a password
    that is in other hands.

    Raises:
        Refused: NOT_FOUND: The account has been erased. FORBIDDEN: What the proof was checked against has changed.
    """
    account = await context.account(connection, proven.credentials.user_id)
    if not await _still_counts(connection, proven):
        raise Refused(
            ProblemType.FORBIDDEN, "Your account has changed since you proved your identity. Send another proof."
        )
    return account


async def _still_counts(connection: AsyncConnection, proven: Proven) -> bool:
    user_id = proven.credentials.user_id
    if await accounts.credentials_of(connection, user_id) != proven.credentials:
        return False
    if proven.outside and await outside_accounts.owner(connection, *proven.outside) != user_id:
        return False
    return not (proven.without_code and await second_factors.is_in_force(connection, user_id))


async def _logged_in(context: IdentityContext, user_id: UUID, proof_token: str) -> Proven | None:
    """The proof of the provider's account; None for a bad token, or if it is not linked to the person now."""
    try:
        note = open_note(context.request.app.state.settings, proof_token, _ABOUT)
    except ValueError:
        return None
    outside = _Outside(note["provider"], note["subject"])
    async with context.engine.connect() as connection:
        credentials = await accounts.credentials_of(connection, user_id)
        owner = await outside_accounts.owner(connection, *outside)
    return Proven(credentials, outside) if credentials and owner == user_id else None
