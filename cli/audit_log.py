"""The audit log for operators: whether it is as it was written; and what is done on our machines goes into it, too."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, TypeVar

import orjson
import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.http.resources import open_vault
from config.settings import Settings, secret, settings
from db.engine import open_engine
from db.identity.audit_log import AuditLog, Entry, Walk, about, origin_of

audit_log_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Who did what, and is it as it was written?"
)
T = TypeVar("T")


@audit_log_app.callback()
def _of_the_log() -> None:
    """Look after the audit log."""


@audit_log_app.command()
def verify(
    head: Annotated[
        str, typer.Option(help="`number:hash` as printed by an earlier run: the chain must still go through it.")
    ] = "",
) -> None:
    """Walk the chain; exit code 1 at its first broken link."""
    walk, passes = asyncio.run(_walk(settings(), head))
    if walk.broken:
        typer.echo(f"broken at entry {walk.broken}: {walk.why}", err=True)
        raise typer.Exit(1)
    if not passes:
        typer.echo(f"the chain does not go through {head}: entries at its end are gone", err=True)
        raise typer.Exit(1)
    typer.echo(f"holds: {walk.head.number}:{walk.head.hash}" if walk.head else "holds: it is empty")


@audit_log_app.command()
def show(
    whom: Annotated[str, typer.Argument(help="`user/<id>`, `booking/<id>`, `client/<id>` …: as actor or as object.")],
) -> None:
    """What somebody did, and what was done to them, or to a thing; and from where, which is noted in turn."""
    for line in asyncio.run(in_identity(settings(), partial(_read, settings(), whom))):
        typer.echo(line)


async def _read(settings: Settings, whom: str, connection: AsyncConnection) -> list[str]:
    vault = open_vault(settings)
    lines = [
        f"{row.number}  {row.at:%Y-%m-%d %H:%M:%S}  {row.actor}  {row.roles or '-'}  {row.action}  {row.object}"
        f"  {orjson.dumps(await origin_of(connection, vault, row)).decode()}"
        for row in await about(connection, whom)
    ]
    await append(connection, settings, "audit-log.read", whom)
    return lines


async def note(settings: Settings, action: str, object: str) -> None:
    """Note what somebody is about to do by a command on this machine."""
    await in_identity(settings, lambda connection: append(connection, settings, action, object))


async def append(connection: AsyncConnection, settings: Settings, action: str, object: str) -> None:
    """Note what a command does in identity's own database, in the transaction that does it, as its last statement."""
    await _log(settings).append(connection, Entry(f"shell/{getpass.getuser()}", action, object))


async def _walk(settings: Settings, head: str) -> tuple[Walk, bool]:
    async def walk(connection: AsyncConnection) -> tuple[Walk, bool]:
        log = _log(settings)
        return await log.walk(connection), not head or await log.has(connection, head)

    return await in_identity(settings, walk)


async def in_identity(settings: Settings, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Do it in one transaction of identity's database."""
    engine = open_engine(settings.database_url("identity"), pool_size=1, serves_callers=False)
    try:
        async with engine.begin() as connection:
            return await work(connection)
    finally:
        await engine.dispose()


def _log(settings: Settings) -> AuditLog:
    return AuditLog(secret(settings.audit_log_secret))
