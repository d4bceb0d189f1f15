"""Accounts over REST: register, log in, stay logged in, who may do what."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import parse_qsl
from uuid import UUID

import orjson
from email_validator import EmailNotValidError, validate_email
from fastapi import APIRouter, Depends, Request, Response, status
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncConnection

from api.front_desk import AtFrontDesk, FrontDesk, known
from api.passwords import GivenPassword, NewPassword, check_password, hash_password
from api.problems import documented, respond
from api.resources import IdentityDatabase
from api.schemas import Code, GivenAddress, RequestModel, ShortText, Storable
from api.security import LIFETIME, AccessTokens, Caller, Principal, internal_caller, require
from db.identity import accounts, mail_tokens, second_factors, sessions
from db.identity.accounts import Account
from db.identity.audit_log import of_user
from db.identity.mail_tokens import Purpose
from domain.identity import Channel, Profile, Role
from domain.problems import Problem, ProblemType, Refused

router = APIRouter(tags=["identity"])
_NO_STORE = {"Cache-Control": "no-store"}
_BAD_LOGIN = "Address or password is wrong."


def _address(text: str) -> str:
    try:
        # `test_environment` admits the domain `test`, which can belong to nobody.
        return validate_email(text, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        raise PydanticCustomError("email", "is not an e-mail address") from None


Address = Annotated[str, StringConstraints(max_length=254), Storable, AfterValidator(_address)]


class Registration(RequestModel):
    email: Address = Field(examples=["ada@example.test"])
    password: NewPassword = Field(examples=["correct horse battery staple"])
    name: ShortText = Field(examples=["Ada Lovelace"])


class LogIn(RequestModel):
    email: GivenAddress = Field(examples=["buyer@example.test"])
    password: GivenPassword = Field(examples=["seatwright-demo-1"])


class SecondStep(RequestModel):
    challenge: Annotated[str, StringConstraints(min_length=1, max_length=100), Storable]
    code: Code


class Roles(RequestModel):
    roles: frozenset[Role]


class TokenRequest(RequestModel):
    grant_type: Literal["refresh_token"]
    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200), Storable]


class User(BaseModel):
    id: UUID
    email: str
    name: str
    roles: list[Role]


class Tokens(BaseModel):
    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = LIFETIME


class Contact(BaseModel):
    email: str
    name: str
    channels: tuple[Channel, ...]


class MailToken(BaseModel):
    token: str


@router.post(
    "/v1/users",
    status_code=status.HTTP_201_CREATED,
    summary="Register",
    responses=documented(ProblemType.EMAIL_TAKEN, ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
)
async def register(body: Registration, desk: AtFrontDesk) -> User:
    """A mail with a token goes out, which proves the address: see `POST /v1/email-verifications`."""
    profile, password_hash = Profile(email=body.email, name=body.name), await hash_password(body.password)
    async with desk.engine.begin() as connection:
        account = await accounts.register(
            connection, desk.vault, profile, password_hash=password_hash, roles={Role.CUSTOMER}
        )
        if account is None:
            raise Refused(ProblemType.EMAIL_TAKEN, "Log in, or use another address.")
        await mail_tokens.send(connection, desk.vault, account.id, Purpose.VERIFICATION)
        await desk.note(connection, _principal(account), "account.registered", of_user(account.id))
    return _user(account)


@router.post(
    "/v1/sessions",
    status_code=status.HTTP_201_CREATED,
    summary="Log in",
    responses=documented(
        ProblemType.UNAUTHENTICATED,
        ProblemType.SECOND_FACTOR_REQUIRED,
        ProblemType.INVALID_REQUEST,
        ProblemType.UNAVAILABLE,
    ),
)
async def log_in(body: LogIn, response: Response, desk: AtFrontDesk) -> Tokens:
    """An account with a second factor gets 401 `second-factor-required`, whose `challenge` goes on with a code."""
    async with desk.engine.connect() as connection:
        credentials = await accounts.credentials(connection, desk.vault, body.email)
    fits, better_hash = await check_password(body.password, credentials.password_hash if credentials else None)
    if credentials is None or not fits:
        raise Refused(ProblemType.UNAUTHENTICATED, _BAD_LOGIN)
    async with desk.engine.begin() as connection:
        account = await accounts.locked(connection, desk.vault, credentials.user_id)
        if account is None or await accounts.credentials_of(connection, account.id) != credentials:
            raise Refused(ProblemType.UNAUTHENTICATED, _BAD_LOGIN)  # erased or changed while we were hashing
        if better_hash:
            await accounts.rehash(connection, credentials, better_hash)
        if not await second_factors.is_in_force(connection, account.id):
            return await _open_session(connection, desk, account, response)
        challenge = await second_factors.challenge(connection, account.id)
    raise Refused(
        ProblemType.SECOND_FACTOR_REQUIRED,
        "Send the challenge with a code to /v1/sessions/second-factor.",
        challenge=challenge,
        expires_in=int(second_factors.CHALLENGE_LIFETIME.total_seconds()),
    )


@router.post(
    "/v1/sessions/second-factor",
    status_code=status.HTTP_201_CREATED,
    summary="Complete a log-in with a code",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
)
async def complete_log_in(body: SecondStep, response: Response, desk: AtFrontDesk) -> Tokens:
    """The code is one of the authenticator's, or a recovery code. A challenge allows five tries."""
    async with desk.engine.begin() as connection:
        user_id = await second_factors.try_challenge(connection, body.challenge)
    if user_id:
        async with desk.engine.begin() as connection:
            account = await desk.account(connection, user_id)
            if await second_factors.use(connection, account, body.code):
                await second_factors.end_challenges(connection, account.id)
                return await _open_session(connection, desk, account, response)
    raise Refused(ProblemType.UNAUTHENTICATED, "The challenge or the code is not valid, or not any more.")


async def _open_session(connection: AsyncConnection, desk: FrontDesk, account: Account, response: Response) -> Tokens:
    session = await sessions.begin(connection, account.id, account.key.seal("device", desk.origin()))
    await desk.note(connection, _principal(account), "session.opened", f"session/{session.session_id}")
    response.headers.update(_NO_STORE)
    return _tokens(desk.request, _principal(account), session.refresh_token)


async def _token_request(request: Request) -> TokenRequest:
    """The body: a form, as OAuth 2.0 has it, or JSON as everywhere else here."""
    raw = await request.body()
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            return TokenRequest.model_validate_json(raw)
        return TokenRequest.model_validate(dict(parse_qsl(raw.decode(), keep_blank_values=True)))
    except ValidationError as error:
        invalid = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([each | {"loc": ("body", *each["loc"])} for each in invalid]) from None
    except ValueError:
        raise Refused(ProblemType.INVALID_REQUEST, "The body is not a form.") from None


@router.post(
    "/v1/oauth/token",
    summary="Get new tokens for a refresh token",
    response_model=Tokens,
    responses=documented(ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": TokenRequest.model_json_schema()}},
        }
    },
)
async def refresh(
    body: Annotated[TokenRequest, Depends(_token_request)],
    request: Request,
    response: Response,
    engine: IdentityDatabase,
) -> Tokens | Response:
    async with engine.begin() as connection:
        rotation = await sessions.rotate(connection, body.refresh_token)
    if rotation is None:
        return respond(_INVALID_GRANT, request, status=status.HTTP_400_BAD_REQUEST)
    response.headers.update(_NO_STORE)
    return _tokens(request, Principal(rotation.user_id, rotation.roles), rotation.refresh_token)


# RFC 6749 wants 400 and `error`, so that OAuth clients understand it.
_INVALID_GRANT = Problem(
    type=ProblemType.INVALID_REQUEST,
    detail="The refresh token is not valid, or not any more: log in again.",
    members={"error": "invalid_grant"},
)


class _KeySet(Response):
    media_type = "application/jwk-set+json"


@router.get(
    "/.well-known/jwks.json",
    summary="The keys that access tokens are signed with",
    response_class=_KeySet,
    responses={200: {"content": {_KeySet.media_type: {"schema": {"type": "object"}}}}},
)
async def jwks(request: Request) -> Response:
    tokens: AccessTokens = request.app.state.tokens
    body = orjson.dumps(tokens.jwks())
    return _KeySet(body, headers={"Cache-Control": "public, max-age=300"})


@router.put(
    "/v1/users/{user_id}/roles",
    summary="Say what a user may do (operators)",
    dependencies=[Depends(require(Role.OPERATOR))],
    responses=documented(
        ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.NOT_FOUND, ProblemType.INVALID_REQUEST
    ),
)
async def set_roles(user_id: UUID, body: Roles, caller: Caller, desk: AtFrontDesk) -> User:
    async with desk.engine.begin() as connection:
        account = known(await accounts.set_roles(connection, desk.vault, user_id, body.roles))
        await desk.note(connection, caller, f"roles.set:{','.join(sorted(body.roles))}", of_user(user_id))
    return _user(account)


@router.get("/internal/v1/users/{user_id}/contact", include_in_schema=False, dependencies=[Depends(internal_caller)])
async def contact(user_id: UUID, desk: AtFrontDesk) -> Contact:
    async with desk.engine.connect() as connection:
        profile = known(await accounts.find(connection, desk.vault, user_id)).profile
    return Contact(email=profile.email, name=profile.name, channels=profile.channels)


@router.get(
    "/internal/v1/users/{user_id}/mail-tokens/{token_id}",
    include_in_schema=False,
    dependencies=[Depends(internal_caller)],
)
async def mail_token(user_id: UUID, token_id: UUID, desk: AtFrontDesk) -> MailToken:
    async with desk.engine.connect() as connection:
        token = await mail_tokens.to_mail(connection, desk.vault, user_id, token_id)
    if token is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such token, or no more.")
    return MailToken(token=token)


def _principal(account: Account) -> Principal:
    return Principal(account.id, account.roles)


def _user(account: Account) -> User:
    profile = account.profile
    return User(id=account.id, email=profile.email, name=profile.name, roles=sorted(account.roles))


def _tokens(request: Request, principal: Principal, refresh_token: str) -> Tokens:
    tokens: AccessTokens = request.app.state.tokens
    return Tokens(access_token=tokens.issue(principal), refresh_token=refresh_token)
