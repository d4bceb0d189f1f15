"""A person's profile and preferences, over REST; only the person may see them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from api.auth.guards import Caller
from api.http.preconditions import Precondition, tagged
from api.http.problems import documented
from api.http.schemas import Name, Phone, RequestModel
from api.identity.context import Identity, require_account
from db.identity import accounts, audit_log, second_factors
from db.identity.accounts import Account
from db.identity.audit_log import of_user
from domain.identity import Channel, Role
from domain.names import name_key
from domain.problems import ProblemType

router = APIRouter(prefix="/v1/me", tags=["identity"])

_CHANGED: Final = "profile.changed"
_MOST_RECORDED: Final = 10
_WITHIN: Final = timedelta(hours=1)


def _once_each(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise PydanticCustomError("repeated", "must not contain a value twice")
    return values


def _named_once_each(names: tuple[str, ...]) -> tuple[str, ...]:
    _once_each(tuple(map(name_key, names)))
    return names


Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$")]
Channels = Annotated[tuple[Channel, ...], AfterValidator(_once_each)]
Categories = Annotated[tuple[Name, ...], Field(max_length=20), AfterValidator(_named_once_each)]


def _without_default(schema: dict[str, Any]) -> None:
    """A field that is left out has no value at all."""
    del schema["default"]


class ProfileChange(RequestModel):
    """Fields that are left out stay as they are. Only `phone` may be null, which deletes it."""

    name: Name = Field(default="", examples=["Ada Lovelace"], json_schema_extra=_without_default)
    phone: Phone | None = Field(default=None, description="E.164", examples=["+31201234567"])
    language: Language = Field(default="", description="BCP 47", examples=["en"], json_schema_extra=_without_default)
    channels: Channels = Field(default=(), description="How to reach you", examples=[["email"]])
    favourite_categories: Categories = Field(default=(), examples=[["jazz", "theatre"]])

    @model_validator(mode="after")
    def _something(self) -> ProfileChange:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing", "name at least one field to change")
        return self


class Me(BaseModel):
    """An account as its owner sees it."""

    id: UUID
    email: str
    email_verified: bool
    name: str
    phone: str | None
    language: str
    channels: tuple[Channel, ...]
    favourite_categories: tuple[str, ...]
    roles: list[Role]
    second_factor: bool
    created_at: datetime


@router.get("", name="get_my_profile", summary="Read my profile", responses=documented(ProblemType.UNAUTHENTICATED))
async def me(caller: Caller, context: Identity, response: Response) -> Me:
    """My account, with whether my address is confirmed and a second factor is active."""
    async with context.engine.connect() as connection:
        account = require_account(await accounts.find(connection, context.vault, caller.user_id))
        return tagged(response, seen_by_owner(account, await second_factors.is_in_force(connection, account.id)))


@router.patch(
    "",
    name="change_my_profile",
    summary="Change my profile and preferences",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.INVALID_REQUEST, ProblemType.PRECONDITION_FAILED),
)
async def change_profile(
    body: ProfileChange, caller: Caller, context: Identity, if_match: Precondition, response: Response
) -> Me:
    """Changes the fields that the body has, and answers the whole profile. Ten changes an hour are in the history."""
    async with context.engine.begin() as connection:
        account = await context.account(connection, caller.user_id)
        second_factor = await second_factors.is_in_force(connection, account.id)
        before, person = seen_by_owner(account, second_factor), of_user(account.id)
        if_match.check(before)
        await accounts.change_profile(connection, context.vault, account, **body.model_dump(exclude_unset=True))
        changed = require_account(await accounts.find(connection, context.vault, account.id))
        after = seen_by_owner(changed, second_factor)
        if after != before and await audit_log.times(connection, person, _CHANGED, _WITHIN) < _MOST_RECORDED:
            await context.record(connection, caller, _CHANGED, person)
    return tagged(response, after)


def seen_by_owner(account: Account, second_factor: bool) -> Me:
    """The account with its owner's profile."""
    return Me(
        id=account.id,
        email_verified=account.verified_at is not None,
        roles=sorted(account.roles),
        second_factor=second_factor,
        created_at=account.created_at,
        **account.profile.model_dump(),
    )
