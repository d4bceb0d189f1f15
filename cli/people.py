"""What people told us, for operators: wrap their keys anew, so that an old master key can be thrown away."""

from __future__ import annotations

import asyncio
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.resources import open_vault
from cli.audit_log import in_identity, note
from config.settings import Settings, settings
from db.identity import rewrapping
from db.identity.rewrapping import Progress

people_app = typer.Typer(no_args_is_help=True)


@people_app.callback()
def _of_people() -> None:
    """What people told us."""


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
    await note(settings, "personal-data.rewrapped", "user_keys")
    vault, wrapped = open_vault(settings), 0
    after: UUID | None = rewrapping.FIRST
    while after is not None:

        async def page(connection: AsyncConnection, after: UUID = after) -> Progress:
            return await rewrapping.rewrap(connection, vault, after)

        done = await in_identity(settings, page)
        wrapped, after = wrapped + done.wrapped, done.after
    return wrapped
