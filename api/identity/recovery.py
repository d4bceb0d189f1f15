"""Confirming an address and resetting a password by a mail, over REST; changing a password."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response, status
from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth.guards import PUBLIC, Caller
from api.http.problems import documented
from api.http.schemas import GivenAddress, RequestModel, Storable
from api.identity.context import Identity, IdentityContext
from api.identity.even_time import in_even_time
from api.identity.passwords import GivenPassword, NewPassword, hash_new_password
from api.identity.proofs import ProofToken, admit, one_proof, prove
from db.identity import accounts, mail_tokens, second_factors, sessions
from db.identity.audit_log import of_user
from db.identity.mail_tokens import Purpose
from db.outbox import append
from domain.domain_events import UserPasswordChanged
from domain.problems import ProblemType, Refused

router = APIRouter(tags=["identity"])
_NOT_VALID = "The token is invalid or has expired. Request another mail."
Token = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Storable]


class Verification(RequestModel):
    """Proof that I read the mails of my address."""

    token: Token = Field(description="From the mail")


class ResetRequest(RequestModel):
    """The address of the account whose password is forgotten."""

    email: GivenAddress = Field(examples=["buyer@example.test"])


class Reset(RequestModel):
    """A new password, with the token that proves access to the mails."""

    token: Token = Field(description="From the mail")
    password: NewPassword


class PasswordChange(RequestModel):
    """The new password, and the old one or the `proof_token` of a fresh log-in with my provider."""

    proof_token: ProofToken | None = None
    old_password: GivenPassword | None = Field(default=None, validate_default=True)
    password: NewPassword

    @field_validator("old_password")
    @classmethod
    def _one_proof(cls, old_password: str | None, info: ValidationInfo) -> str | None:
        return one_proof(old_password, info)


@router.post(
    "/v1/email-verifications",
    name="verify_email",
    dependencies=[PUBLIC],
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Confirm an address with the token from the mail",
    responses=documented(ProblemType.TOKEN_NOT_VALID),
)
async def verify_address(body: Verification, context: Identity) -> None:
    """The token works once. Request another mail if it has expired."""
    async with context.engine.begin() as connection:
        user_id = await mail_tokens.use(connection, body.token, Purpose.VERIFICATION)
        if user_id is None:
            raise Refused(ProblemType.TOKEN_NOT_VALID, _NOT_VALID)
        account = await context.account(connection, user_id)
        await accounts.set_verified(connection, user_id)
        await context.record_anonymous(connection, "address.verified", user_id, account.key)


@router.post(
    "/v1/me/email-verification",
    name="request_email_verification",
    status_code=status.HTTP_202_ACCEPTED,
    response_class=Response,  # without a body
    summary="Send me another mail to confirm my address",
    responses=documented(ProblemType.UNAUTHENTICATED),
)
async def ask_for_verification(caller: Caller, context: Identity) -> Response:
    """No mail for an address that is confirmed already. The pause between two mails grows, from one minute on."""
    async with context.engine.begin() as connection:
        account = await context.account(connection, caller.user_id)
        if account.verified_at is None:
            await mail_tokens.send(connection, context.vault, account.id, Purpose.VERIFICATION)
    return Response(status_code=status.HTTP_202_ACCEPTED)


@router.post(
    "/v1/password-resets",
    name="request_password_reset",
    dependencies=[PUBLIC],
    status_code=status.HTTP_202_ACCEPTED,
    response_class=Response,  # without a body
    summary="Request a mail to reset a password",
    responses=documented(ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
)
async def ask_for_reset(body: ResetRequest, context: Identity) -> Response:
    """The answer is the same whether or not the account exists. The pause between two mails grows, from a minute on."""
    # Nothing is left for after the answer: the next request on the connection would wait for it.
    async with in_even_time(), context.mail_request("reset", body.email) as is_first:
        if is_first:
            async with context.engine.begin() as connection:
                await _send_reset(connection, context, body.email)
    return Response(status_code=status.HTTP_202_ACCEPTED)


async def _send_reset(connection: AsyncConnection, context: IdentityContext, email: str) -> None:
    if credentials := await accounts.credentials(connection, context.vault, email):
        account = await accounts.locked(connection, context.vault, credentials.user_id)
        if account and await mail_tokens.send(connection, context.vault, account.id, Purpose.PASSWORD_RESET):
            await context.record_anonymous(connection, "password.reset-asked", account.id, account.key)


@router.post(
    "/v1/password-resets/confirm",
    dependencies=[PUBLIC],
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Reset a password with the token from the mail",
    responses=documented(ProblemType.TOKEN_NOT_VALID, ProblemType.INVALID_REQUEST),
)
async def reset_password(body: Reset, context: Identity) -> None:
    """All sessions end. A second factor stays: the mail alone does not open an account that has one.

    It is removed where the address was never confirmed: then another person may have registered it.
    """
    async with context.engine.connect() as connection:
        if not await mail_tokens.is_good(connection, body.token, Purpose.PASSWORD_RESET):
            raise Refused(ProblemType.TOKEN_NOT_VALID, _NOT_VALID)  # before it costs a hash
    password_hash = await hash_new_password(body.password)
    async with context.engine.begin() as connection:
        user_id = await mail_tokens.use(connection, body.token, Purpose.PASSWORD_RESET)
        if user_id is None:
            raise Refused(ProblemType.TOKEN_NOT_VALID, _NOT_VALID)
        account = await context.account(connection, user_id)
        if account.verified_at is None:
            await second_factors.remove(connection, user_id)
        await accounts.set_verified(connection, user_id)
        await accounts.set_password(connection, user_id, password_hash)
        await sessions.end_all(connection, user_id)
        await second_factors.end_challenges(connection, user_id)
        await append(connection, user_id, UserPasswordChanged(user_id=user_id))
        await context.record_anonymous(connection, "password.reset", user_id, account.key)
    await context.is_at_home(account.profile.email)  # so that guesses of others do not lock the owner out


@router.put(
    "/v1/me/password",
    name="change_my_password",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Change my password",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.INVALID_REQUEST),
)
async def change_password(body: PasswordChange, caller: Caller, context: Identity) -> None:
    """All sessions end, including this one: log in with the new password. Mailed tokens for a reset end, too.

    A person who registered with an outside provider sets a first password by a `proof_token`.
    """
    proven = await prove(context, caller.user_id, body.old_password, body.proof_token)
    password_hash = await hash_new_password(body.password)
    async with context.engine.begin() as connection:
        account = await admit(connection, context, proven)
        await accounts.set_password(connection, account.id, password_hash)
        await mail_tokens.end_all(connection, account.id, Purpose.PASSWORD_RESET)
        await sessions.end_all(connection, account.id)
        await second_factors.end_challenges(connection, account.id)
        await append(connection, account.id, UserPasswordChanged(user_id=account.id))
        await context.record(connection, caller, "password.changed", of_user(account.id))
