"""Proof of identity by a person who is logged in: the password, or a fresh log-in with an outside provider.

A stolen access token is not enough for what these proofs protect, and a person who registered with one has no password.
"""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from api.http.schemas import RequestModel, Storable
from api.identity.context import IdentityContext
from api.identity.notes import LASTS, open_note, seal_note
from api.identity.passwords import GivenPassword
from config.settings import Settings
from db.identity import outside_accounts, second_factors
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


async def prove(context: IdentityContext, user_id: UUID, password: str | None, proof_token: str | None) -> None:
    """Check the one proof that a person who is logged in has given.

    Raises:
        Refused: FORBIDDEN: The password is wrong, or the token is not valid for this person. RATE_LIMITED: Too many
            tries with a password have failed.
    """
    if proof_token is None:
        await context.prove_password(user_id, password or "")
        return
    async with context.proving():
        if await _logged_in(context, proof_token) != user_id:
            context.record_refusal("proof.refused", user_id, actor=of_user(user_id))
            raise Refused(
                ProblemType.FORBIDDEN,
                "The proof_token has expired, or its provider is not linked to your account. Log in with it again.",
            )


async def prove_fully(context: IdentityContext, user_id: UUID, proof: Proof, code: str | None) -> None:
    """Check the proof and the second factor, if there is one, before the account is weakened or erased.

    Raises:
        Refused: FORBIDDEN: The proof is wrong, or the code.
    """
    await prove(context, user_id, proof.password, proof.proof_token)
    async with context.engine.begin() as connection:
        if not await second_factors.is_in_force(connection, user_id):
            return
        if code:
            await second_factors.count_try(connection, user_id)
    async with context.proving(), context.engine.begin() as connection:
        account = await context.account(connection, user_id)
        if not (code and await second_factors.use(connection, account, code)):
            context.record_refusal("code.refused", user_id, actor=of_user(user_id))
            raise Refused(ProblemType.FORBIDDEN, "The second-factor code is missing, wrong or already used.")


async def _logged_in(context: IdentityContext, proof_token: str) -> UUID | None:
    """The person to whom the provider's account is linked now; None for a bad token, or if it was unlinked since."""
    try:
        note = open_note(context.request.app.state.settings, proof_token, _ABOUT)
    except ValueError:
        return None
    async with context.engine.connect() as connection:
        return await outside_accounts.owner(connection, note["provider"], note["subject"])
