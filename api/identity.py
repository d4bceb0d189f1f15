"""Accounts over REST: register, log in, stay logged in, who am I, who may do what."""

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

from api.passwords import hash_password, is_password
from api.problems import documented, respond
from api.resources import IdentityDatabase
from api.schemas import RequestModel, ShortText, Storable
from api.security import OUR_PROCESSES, PUBLIC, Caller, Operator, ProfileReader
from api.tokens import LIFETIME, AccessTokens, Principal
from db.identity import accounts, rights, sessions
from db.identity.accounts import Account
from db.identity.sessions import Rotation
from domain.identity import Role
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
NewPassword = Annotated[str, StringConstraints(min_length=8, max_length=200), Storable]


class Registration(RequestModel):
    email: Address = Field(examples=["ada@example.test"])
    password: NewPassword
    name: ShortText = Field(examples=["Ada Lovelace"])


class LogIn(RequestModel):
    email: Annotated[str, StringConstraints(max_length=254), Storable] = Field(examples=["buyer@example.test"])
    password: Annotated[str, StringConstraints(max_length=200), Storable] = Field(examples=["seatwright-demo-1"])


class Profile(RequestModel):
    name: ShortText


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


@router.post(
    "/v1/users",
    dependencies=[PUBLIC],
    status_code=status.HTTP_201_CREATED,
    summary="Register",
    responses=documented(ProblemType.EMAIL_TAKEN, ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
)
async def register(body: Registration, engine: IdentityDatabase) -> User:
    password_hash = await hash_password(body.password)
    async with engine.begin() as connection:
        account = await accounts.register(
            connection, email=body.email, name=body.name, password_hash=password_hash, roles={Role.CUSTOMER}
        )
    if account is None:
        raise Refused(ProblemType.EMAIL_TAKEN, "Log in, or use another address.")
    return _user(account)


@router.post(
    "/v1/sessions",
    dependencies=[PUBLIC],
    status_code=status.HTTP_201_CREATED,
    summary="Log in",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
)
async def log_in(body: LogIn, request: Request, response: Response, engine: IdentityDatabase) -> Tokens:
    async with engine.connect() as connection:
        known = await accounts.credentials(connection, body.email)
    fits = await is_password(body.password, known.password_hash if known else None)
    if known is None or not fits:
        raise Refused(ProblemType.UNAUTHENTICATED, _BAD_LOGIN)
    async with engine.begin() as connection:
        tokens = await _tokens(request, connection, await sessions.begin(connection, known.user_id))
    response.headers.update(_NO_STORE)
    return tokens


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
    dependencies=[PUBLIC],
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
        tokens = await _tokens(request, connection, rotation) if rotation else None
    if tokens is None:
        return respond(_INVALID_GRANT, request, status=status.HTTP_400_BAD_REQUEST)
    response.headers.update(_NO_STORE)
    return tokens


# RFC 6749 wants 400 and `error`, so that OAuth clients understand it.
_INVALID_GRANT = Problem(
    type=ProblemType.INVALID_REQUEST,
    detail="The refresh token is not valid, or not any more: log in again.",
    members={"error": "invalid_grant"},
)


@router.get("/.well-known/jwks.json", dependencies=[PUBLIC], summary="The keys that access tokens are signed with")
async def jwks(request: Request) -> Response:
    tokens: AccessTokens = request.app.state.tokens
    body = orjson.dumps(tokens.jwks())
    return Response(body, media_type="application/jwk-set+json", headers={"Cache-Control": "public, max-age=300"})


@router.get("/v1/me", summary="Who am I", responses=documented(ProblemType.UNAUTHENTICATED))
async def me(caller: ProfileReader, engine: IdentityDatabase) -> User:
    async with engine.connect() as connection:
        return _known(await accounts.find(connection, caller.user_id))


@router.patch(
    "/v1/me",
    summary="Change my profile",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.INVALID_REQUEST),
)
async def change_profile(body: Profile, caller: Caller, engine: IdentityDatabase) -> User:
    async with engine.begin() as connection:
        return _known(await accounts.rename(connection, caller.user_id, body.name))


@router.put(
    "/v1/users/{user_id}/roles",
    summary="Say what a user may do (operators)",
    responses=documented(
        ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.NOT_FOUND, ProblemType.INVALID_REQUEST
    ),
)
async def set_roles(user_id: UUID, body: Roles, caller: Operator, engine: IdentityDatabase) -> User:
    async with engine.begin() as connection:
        return _known(await accounts.set_roles(connection, user_id, body.roles))


@router.get("/internal/v1/users/{user_id}/contact", include_in_schema=False, dependencies=[OUR_PROCESSES])
async def contact(user_id: UUID, engine: IdentityDatabase) -> Contact:
    async with engine.connect() as connection:
        user = _known(await accounts.find(connection, user_id))
    return Contact(email=user.email, name=user.name)


def _known(account: Account | None) -> User:
    if account is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such user.")
    return _user(account)


def _user(account: Account) -> User:
    return User(id=account.id, email=account.email, name=account.name, roles=sorted(account.roles))


async def _tokens(request: Request, connection: AsyncConnection, session: Rotation) -> Tokens:
    tokens: AccessTokens = request.app.state.tokens
    granted = await rights.find(connection, session.user_id)
    if granted is None:
        raise Refused(ProblemType.UNAUTHENTICATED, "The account does not exist any more.")
    principal = Principal(session.user_id, granted.roles, granted.teams, session_id=session.session_id)
    return Tokens(access_token=tokens.issue(principal), refresh_token=session.refresh_token)
