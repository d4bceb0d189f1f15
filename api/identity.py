"""Accounts over REST: register, log in, stay logged in, who am I, who may do what."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from fastapi import APIRouter, Request, Response, status
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError

from api.log_in import NO_STORE, Tokens, first_party_tokens, prove
from api.passwords import hash_password
from api.problems import documented
from api.resources import IdentityDatabase
from api.schemas import RequestModel, ShortText, Storable
from api.security import OUR_PROCESSES, PUBLIC, Caller, Operator, ProfileReader
from db.identity import accounts, sessions
from db.identity.accounts import Account
from domain.identity import Role
from domain.problems import ProblemType, Refused

router = APIRouter(tags=["identity"])


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


class User(BaseModel):
    id: UUID
    email: str
    name: str
    roles: list[Role]


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
    user_id = await prove(engine, body.email, body.password)
    async with engine.begin() as connection:
        tokens = await first_party_tokens(request, connection, await sessions.begin(connection, user_id))
    response.headers.update(NO_STORE)
    return tokens


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
