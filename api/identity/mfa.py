"""A second factor for one's own account, over REST: codes of an authenticator (TOTP), and recovery codes."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response, status
from pydantic import BaseModel, Field

from api.auth.guards import Caller
from api.http.problems import documented
from api.http.schemas import Code, RequestModel
from api.identity.context import Identity
from api.identity.proofs import Proof, admit, prove, prove_fully
from db.identity import second_factors
from db.identity.audit_log import of_user
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/me/second-factor", tags=["identity"])
_NO_STORE = {"Cache-Control": "no-store"}


class FullProof(Proof):
    """My password or a fresh log-in, and a code of the second factor, or a recovery code."""

    code: Code


class FirstCode(RequestModel):
    """The current code of the authenticator."""

    code: Code


class Enrolment(BaseModel):
    """A secret for an authenticator. It takes effect once its first code is confirmed."""

    kind: Literal["totp"] = "totp"
    uri: str = Field(description="Show it as a QR code for an authenticator app")


class RecoveryCodeList(BaseModel):
    """Codes for a lost authenticator."""

    recovery_codes: list[str] = Field(description="Each works once in place of a code; shown only this time")


@router.post(
    "",
    name="set_up_second_factor",
    status_code=status.HTTP_201_CREATED,
    summary="Set up a second factor",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.WRONG_STATE),
)
async def begin(body: Proof, caller: Caller, context: Identity, response: Response) -> Enrolment:
    """Log-in does not ask for a code before you confirm the first one."""
    proven = await prove(context, caller.user_id, body.password, body.proof_token)
    async with context.engine.begin() as connection:
        account = await admit(connection, context, proven)
        if await second_factors.is_in_force(connection, account.id):
            raise Refused(ProblemType.WRONG_STATE, "There is a second factor already. Remove it first.")
        uri = await second_factors.begin(connection, account)
    response.headers.update(_NO_STORE)
    return Enrolment(uri=uri)


@router.post(
    "/confirm",
    name="confirm_second_factor",
    summary="Confirm the second factor with its first code",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.CODE_NOT_VALID),
)
async def confirm(body: FirstCode, caller: Caller, context: Identity, response: Response) -> RecoveryCodeList:
    """From now on log-in needs a code. The recovery codes are shown only here."""
    async with context.engine.begin() as connection:
        account = await context.account_of_session(connection, caller)
        codes = await second_factors.confirm(connection, account, body.code)
        if codes is None:
            raise Refused(
                ProblemType.CODE_NOT_VALID,
                "The code is wrong or has expired. Enter the current code of your authenticator.",
            )
        await context.record(connection, caller, "second-factor.begun", of_user(account.id))
    response.headers.update(_NO_STORE)
    return RecoveryCodeList(recovery_codes=list(codes))


@router.delete(
    "",
    name="remove_second_factor",
    status_code=status.HTTP_204_NO_CONTENT,
    summary="Remove the second factor",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN),
)
async def remove(body: FullProof, caller: Caller, context: Identity) -> None:
    """Log-in needs no code afterwards. The recovery codes stop working."""
    proven = await prove_fully(context, caller.user_id, body, body.code)
    async with context.engine.begin() as connection:
        account = await admit(connection, context, proven)
        if await second_factors.remove(connection, account.id):
            await context.record(connection, caller, "second-factor.removed", of_user(account.id))
