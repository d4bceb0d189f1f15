"""Accounts over REST: register, log in, set roles; contact data for our own processes."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response, status
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from api.auth.guards import OUR_PROCESSES, PUBLIC, Operator
from api.auth.tokens import Principal
from api.http.problems import documented
from api.http.schemas import Code, GivenAddress, Name, RequestModel, Storable
from api.identity import login
from api.identity.context import Identity, IdentityContext, require_account
from api.identity.even_time import in_even_time
from api.identity.login import NO_STORE, Tokens
from api.identity.passwords import GivenPassword, NewPassword, hash_new_password
from db.identity import accounts, mail_tokens
from db.identity.accounts import Account
from db.identity.audit_log import of_user
from db.identity.mail_tokens import Purpose
from domain.addresses import BadAddress, address_of
from domain.domain_events import UserRegisteredAgain
from domain.identity import Channel, Profile, Role
from domain.problems import ProblemType, Refused

router = APIRouter(tags=["identity"])


def _address(text: str) -> str:
    try:
        return address_of(text)
    except BadAddress:
        raise PydanticCustomError("email", "is not an email address") from None


Address = Annotated[str, StringConstraints(max_length=254), Storable, AfterValidator(_address)]


class Registration(RequestModel):
    """A new account. Its address must be confirmed by the token in a mail."""

    email: Address = Field(examples=["ada@example.test"])
    password: NewPassword = Field(examples=["correct horse battery staple"])
    name: Name = Field(examples=["Ada Lovelace"])


class LogIn(RequestModel):
    """An address and its password."""

    email: GivenAddress = Field(examples=["buyer@example.test"])
    password: GivenPassword = Field(examples=["seatwright-demo-1"])


class SecondStep(RequestModel):
    """The challenge from the answer `second-factor-required`, and a code."""

    challenge: Annotated[str, StringConstraints(min_length=1, max_length=100), Storable]
    code: Code


class NewRoles(RequestModel):
    """All roles that the account has afterwards."""

    roles: frozenset[Role]


class User(BaseModel):
    """An account as operators and its owner see it."""

    id: UUID
    email: str
    name: str
    roles: list[Role]


class Contact(BaseModel):
    """How our own processes can reach a person. It must not be stored: an erased person has no contact data."""

    email: str
    email_verified: bool
    name: str
    language: str
    channels: tuple[Channel, ...]


class MailToken(BaseModel):
    """A token in clear text, for the one mail that carries it."""

    token: str


@router.post(
    "/v1/users",
    name="register_account",
    dependencies=[PUBLIC],
    status_code=status.HTTP_201_CREATED,
    summary="Register",
    responses=documented(ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
)
async def register(body: Registration, context: Identity) -> User:
    """A mail is sent with a token that confirms the address: send it to `POST /v1/email-verifications`.

    The answer is the same if the address has an account already. Then nothing is changed, the `id` belongs to no
    account, and the mail says so to its owner.
    """
    # Its moment is in it, so that it must be made alike whether or not the address has an account.
    id, profile = uuid7(), Profile(email=body.email, name=body.name)
    async with in_even_time():
        password_hash = await hash_new_password(body.password)
        # Counted before, so that it is the same whether or not the address has an account.
        async with context.mail_request("registration", body.email) as is_first, context.engine.begin() as connection:
            if not await _made(connection, context, id, profile, password_hash) and is_first:
                await _notify_owner(connection, context, profile.email)
    return User(id=id, email=profile.email, name=profile.name, roles=[Role.CUSTOMER])


async def _made(
    connection: AsyncConnection, context: IdentityContext, id: UUID, profile: Profile, password_hash: str
) -> bool:
    """Make a new account; False if the address has one already."""
    account = await accounts.register(
        connection, context.vault, profile, password_hash=password_hash, roles={Role.CUSTOMER}, id=id
    )
    if account:
        await mail_tokens.send(connection, context.vault, account.id, Purpose.VERIFICATION)
        caller = Principal(account.id, account.roles)
        await context.record(connection, caller, "account.registered", of_user(account.id))
    return account is not None


async def _notify_owner(connection: AsyncConnection, context: IdentityContext, email: str) -> None:
    """Mail the owner of the address that an account exists, with a token for a new password."""
    credentials = await accounts.credentials(connection, context.vault, email)
    account = credentials and await accounts.locked(connection, context.vault, credentials.user_id)

    def again(user_id: UUID, token_id: UUID) -> UserRegisteredAgain:
        return UserRegisteredAgain(user_id=user_id, token_id=token_id)

    if account and await mail_tokens.send(connection, context.vault, account.id, Purpose.PASSWORD_RESET, again):
        await context.record_anonymous(connection, "account.registered-again", account.id, account.key)


@router.post(
    "/v1/sessions",
    dependencies=[PUBLIC],
    status_code=status.HTTP_201_CREATED,
    summary="Log in",
    responses=documented(
        ProblemType.UNAUTHENTICATED,
        ProblemType.SECOND_FACTOR_REQUIRED,
        ProblemType.INVALID_REQUEST,
        ProblemType.UNAVAILABLE,
    ),
)
async def log_in(body: LogIn, response: Response, context: Identity) -> Tokens:
    """An account with a second factor gets 401 `second-factor-required`: send its `challenge` with a code."""
    async with context.proving():
        proof = await login.prove(context, body.email, body.password)
    async with context.engine.begin() as connection:
        account = await login.admit(connection, context, proof)
        tokens = await login.enter(connection, context, account)
    if isinstance(tokens, Refused):
        raise tokens
    response.headers.update(NO_STORE)
    return tokens


@router.post(
    "/v1/sessions/second-factor",
    dependencies=[PUBLIC],
    status_code=status.HTTP_201_CREATED,
    summary="Complete a log-in with a code",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
)
async def complete_log_in(body: SecondStep, response: Response, context: Identity) -> Tokens:
    """Send a code of the authenticator, or a recovery code. A challenge allows five tries."""
    tried = await login.try_challenge(context, body.challenge)
    async with context.proving(), context.engine.begin() as connection:
        account = await login.admit_by_code(connection, context, tried, body.code)
        tokens = await login.open_session(connection, context, account)
    response.headers.update(NO_STORE)
    return tokens


@router.put(
    "/v1/users/{user_id}/roles",
    name="set_user_roles",
    summary="Set a user's roles (operators)",
    responses=documented(
        ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.NOT_FOUND, ProblemType.INVALID_REQUEST
    ),
)
async def set_roles(user_id: UUID, body: NewRoles, caller: Operator, context: Identity) -> User:
    """Replaces all roles of the user: the roles that the body leaves out are lost."""
    async with context.engine.begin() as connection:
        account = require_account(await accounts.set_roles(connection, context.vault, user_id, body.roles))
        await context.record(connection, caller, f"roles.set:{','.join(sorted(body.roles))}", of_user(user_id))
    return _user(account)


@router.get("/internal/v1/users/{user_id}/contact", include_in_schema=False, dependencies=[OUR_PROCESSES])
async def contact(user_id: UUID, context: Identity) -> Contact:
    """For the notification worker, before each message; 404 for an erased account."""
    async with context.engine.connect() as connection:
        account = require_account(await accounts.find(connection, context.vault, user_id))
    profile = account.profile
    return Contact(
        email=profile.email,
        email_verified=account.verified_at is not None,
        name=profile.name,
        language=profile.language,
        channels=profile.channels,
    )


@router.get(
    "/internal/v1/users/{user_id}/mail-tokens/{token_id}",
    include_in_schema=False,
    dependencies=[OUR_PROCESSES],
)
async def mail_token(user_id: UUID, token_id: UUID, context: Identity) -> MailToken:
    """For the notification worker, just before it sends the mail; 404 once the token is used or has expired."""
    async with context.engine.connect() as connection:
        token = await mail_tokens.to_mail(connection, context.vault, user_id, token_id)
    if token is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such token, or it has expired.")
    return MailToken(token=token)


def _user(account: Account) -> User:
    profile = account.profile
    return User(id=account.id, email=profile.email, name=profile.name, roles=sorted(account.roles))
