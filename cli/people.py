"""Commands about people: set roles, remove a lost second factor, rewrap the keys of personal data, hash names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.identity.context import open_vault
from cli import audit_log
from cli.keys import in_identity, record
from config.settings import Settings, settings
from db.identity import accounts, rewrapping, second_factors
from db.identity.audit_log import of_user
from db.identity.vault import Vault
from domain.identity import Role

_Paged = Callable[[AsyncConnection, Vault, UUID], Awaitable[tuple[int, UUID | None]]]

people_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Roles, lost second factors, keys for personal data."
)


@people_app.callback()
def _of_people() -> None:
    """Roles, lost second factors, keys for personal data."""


@people_app.command()
def roles(
    user_id: UUID, role: Annotated[list[Role], typer.Option(help="A role; give all roles that the person keeps.")]
) -> None:
    """Set a person's roles, like `PUT /v1/users/{id}/roles`; makes the first operator."""

    async def give(connection: AsyncConnection) -> bool:
        given = await accounts.set_roles(connection, open_vault(settings()), user_id, role)
        if given:
            await record(connection, f"roles.set:{','.join(sorted(role))}", of_user(user_id))
        return given is not None

    _done(in_identity(give), user_id)


@people_app.command()
def forget_second_factor(user_id: UUID) -> None:
    """Remove a lost second factor; verify the person first."""

    async def forget(connection: AsyncConnection) -> bool:
        account = await accounts.locked(connection, open_vault(settings()), user_id)
        if account:
            await second_factors.remove(connection, user_id)
            await record(connection, "second-factor.removed", of_user(user_id))
        return account is not None

    _done(in_identity(forget), user_id)


def _done(exists: bool, user_id: UUID) -> None:
    if not exists:
        typer.echo(f"there is no person {user_id}", err=True)
        raise typer.Exit(1)
    typer.echo(f"done: {user_id}")


@people_app.command()
def rewrap() -> None:
    """Rewrap every key with the first of SEATWRIGHT_PERSONAL_DATA_KEYS; the others are then unused."""
    typer.echo(f"{_with_all_keys(_rewrap_all)} keys rewrapped")


@people_app.command()
def hash_names() -> None:
    """Hash the names that an older version has stored, and forget those of people it has erased; safe to repeat."""
    typer.echo(f"{_with_all_keys(_hash_all_names)} names hashed")


def _with_all_keys(work: Callable[[Settings], Coroutine[None, None, int]]) -> int:
    try:
        return asyncio.run(work(settings()))
    except KeyError as error:
        typer.echo("a key is wrapped with a master key that is not in SEATWRIGHT_PERSONAL_DATA_KEYS", err=True)
        raise typer.Exit(1) from error


async def _rewrap_all(settings: Settings) -> int:
    await audit_log.record(settings, "personal-data.rewrapped", "user_keys")
    return await _in_pages(settings, rewrapping.rewrap, rewrapping.FIRST)


async def _hash_all_names(settings: Settings) -> int:
    await audit_log.record(settings, "personal-data.names-hashed", "users")
    return await _in_pages(settings, accounts.hash_names, accounts.FIRST)


async def _in_pages(settings: Settings, work: _Paged, first: UUID) -> int:
    """Do all pages, each in a transaction of its own; how many rows were changed."""
    vault, changed = open_vault(settings), 0
    after: UUID | None = first
    while after is not None:

        async def page(connection: AsyncConnection, after: UUID = after) -> tuple[int, UUID | None]:
            return await work(connection, vault, after)

        of_page, after = await audit_log.in_identity(settings, page)
        changed += of_page
    return changed
