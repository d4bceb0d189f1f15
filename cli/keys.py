"""The keys that sign tokens: rotate them, look at them, end one that somebody else may know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import key_ring
from cli import audit_log
from config.settings import settings
from db.identity import keys

keys_app = typer.Typer(no_args_is_help=True, add_completion=False, help="The keys that sign tokens.")
T = TypeVar("T")

_SOONEST = 3.0  # seconds; every process of ours has seen a key by then
_USUAL = key_ring.PUBLISHED_AHEAD.total_seconds()

After = Annotated[
    float,
    typer.Option(min=_SOONEST, help="Seconds until the new key signs; others may keep our key set for the default."),
]


@keys_app.callback()
def _of_keys() -> None:
    """The keys that sign tokens."""


@keys_app.command()
def rotate(after: After = _USUAL) -> None:
    """Publish a new key, which takes over later; the old one stays published as long as its tokens are good."""

    async def add(connection: AsyncConnection) -> str:
        kid = await key_ring.rotate(connection, settings(), timedelta(seconds=after))
        await noted(connection, "key.added", f"key/{kid}")
        return kid

    kid = in_identity(add)
    typer.echo(f"{kid} is published, and signs in {after:.0f} s")


@keys_app.command(name="list")
def list_keys() -> None:
    """The keys that are published now, oldest first."""
    for key in in_identity(lambda connection: keys.live(connection, kept=key_ring.KEPT)):
        typer.echo(f"{key.kid}  {'signs, or has signed' if key.signs else 'will sign'}")


@keys_app.command()
def revoke(kid: str) -> None:
    """End a key that somebody else may know, and every token that it signed; a new one takes over at once."""

    async def replace(connection: AsyncConnection) -> bool:
        ended = await keys.revoke(connection, kid)
        if ended:
            await key_ring.add_key(connection, settings(), timedelta())
            await noted(connection, "key.revoked", f"key/{kid}")
        return ended

    if not in_identity(replace):
        typer.echo(f"there is no live key {kid}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{kid} has ended; a new key signs")


def in_identity(work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do it in one transaction of identity's database, and wait for it."""
    return asyncio.run(audit_log.in_identity(settings(), work))


async def noted(connection: AsyncConnection, action: str, object: str) -> None:
    """Have the audit log tell what this transaction does."""
    await audit_log.append(connection, settings(), action, object)
