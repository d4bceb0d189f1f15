"""People, for operators at a machine of ours: give the first roles, help who has lost a telephone, wrap keys anew."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.resources import open_vault
from cli import audit_log
from cli.keys import in_identity, noted
from config.settings import Settings, settings
from db.identity import accounts, rewrapping, second_factors
from db.identity.audit_log import of_user
from db.identity.rewrapping import Progress
from domain.identity import Role

people_app = typer.Typer(no_args_is_help=True, add_completion=False, help="People: first roles, lost telephones, keys.")


@people_app.callback()
def _of_people() -> None:
    """People and what they told us."""


@people_app.command()
def roles(user_id: UUID, role: Annotated[list[Role], typer.Option(help="All that the person is to have.")]) -> None:
    """Say what a person may do, as `PUT /v1/users/{id}/roles`: so the first operator is made."""

    async def give(connection: AsyncConnection) -> bool:
        given = await accounts.set_roles(connection, open_vault(settings()), user_id, role)
        if given:
            await noted(connection, f"roles.set:{','.join(sorted(role))}", of_user(user_id))
        return given is not None

    _done(in_identity(give), user_id)


@people_app.command()
def forget_second_factor(user_id: UUID) -> None:
    """Let a person log in by the password alone, who has lost authenticator and recovery codes. Be sure who asks."""

    async def forget(connection: AsyncConnection) -> bool:
        account = await accounts.locked(connection, open_vault(settings()), user_id)
        if account:
            await second_factors.remove(connection, user_id)
            await noted(connection, "second-factor.removed", of_user(user_id))
        return account is not None

    _done(in_identity(forget), user_id)


def _done(there_is_one: bool, user_id: UUID) -> None:
    if not there_is_one:
        typer.echo(f"there is no person {user_id}", err=True)
        raise typer.Exit(1)
    typer.echo(f"done: {user_id}")


@people_app.command()
def rewrap() -> None:
    """Wrap every key by the first of SEATWRIGHT_PERSONAL_DATA_KEYS; then the others are not needed any more."""
    try:
        wrapped = asyncio.run(_rewrap_all(settings()))
    except KeyError as error:
        typer.echo("a key is wrapped by a master key that is not in SEATWRIGHT_PERSONAL_DATA_KEYS", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{wrapped} keys were wrapped anew")


async def _rewrap_all(settings: Settings) -> int:
    await audit_log.note(settings, "personal-data.rewrapped", "user_keys")
    vault, wrapped = open_vault(settings), 0
    after: UUID | None = rewrapping.FIRST
    while after is not None:

        async def page(connection: AsyncConnection, after: UUID = after) -> Progress:
            return await rewrapping.rewrap(connection, vault, after)

        done = await audit_log.in_identity(settings, page)
        wrapped, after = wrapped + done.wrapped, done.after
    return wrapped
