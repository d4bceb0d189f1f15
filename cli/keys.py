"""Rotates, lists and revokes the keys that sign tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import key_ring
from cli import audit_log
from config.settings import settings
from db.identity import keys
from domain.identity import SigningAlgorithm

keys_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Rotate, list and revoke the keys that sign tokens."
)
T = TypeVar("T")

_SOONEST = 3.0  # seconds; by then every process of the platform has the new key
_USUAL = key_ring.PUBLISHED_AHEAD.total_seconds()

After = Annotated[
    float,
    typer.Option(min=_SOONEST, help="Seconds until the new key signs; clients may cache the key set for the default."),
]


@keys_app.callback()
def _of_keys() -> None:
    """Rotate, list and revoke the keys that sign tokens."""


@keys_app.command()
def rotate(after: After = _USUAL) -> None:
    """Publish a new key of each algorithm that signs later; the old ones stay until their tokens expire."""

    async def add(connection: AsyncConnection) -> Mapping[SigningAlgorithm, str]:
        added = await key_ring.rotate(connection, settings(), timedelta(seconds=after))
        for kid in added.values():
            await record(connection, "key.added", f"key/{kid}")
        return added

    for algorithm, kid in in_identity(add).items():
        typer.echo(f"{kid}  {algorithm}  is published and signs in {after:.0f} s")


@keys_app.command(name="list")
def list_keys() -> None:
    """List the published keys, oldest first."""
    for algorithm in SigningAlgorithm:
        for key in in_identity(partial(keys.live, algorithm=algorithm, kept=key_ring.KEPT)):
            state = "active or retired" if key.signs else "published, not yet active"
            typer.echo(f"{key.kid}  {algorithm}  {state}")


@keys_app.command()
def revoke(kid: str) -> None:
    """Revoke a leaked key and its tokens; a new key of its algorithm signs at once."""

    async def replace(connection: AsyncConnection) -> bool:
        ended = await key_ring.replace(connection, settings(), kid)
        if ended:
            await record(connection, "key.revoked", f"key/{kid}")
        return ended

    if not in_identity(replace):
        typer.echo(f"there is no published key {kid}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{kid} is revoked; a new key signs")


def in_identity(work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run `work` in one transaction of the identity database, and wait for it."""
    return asyncio.run(audit_log.in_identity(settings(), work))


async def record(connection: AsyncConnection, action: str, object: str) -> None:
    """Record in the audit log what this transaction does."""
    await audit_log.append(connection, settings(), action, object)
