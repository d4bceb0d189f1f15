"""The audit log for operators: verify and read it; commands on this machine record their own entries in it."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Final, TypeVar

import orjson
import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.identity.context import open_vault
from config.settings import Settings, secret, settings
from db.engine import open_engine
from db.identity.audit_log import AuditLog, Entry, Seen, Walk, about, origin_of

audit_log_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Read the audit log, and verify that it is unchanged."
)
T = TypeVar("T")

_UUID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
NAMED: Final = re.compile(
    rf"[a-z-]+/{_UUID}|(user|payment)/unknown|key/[\w-]+|late-payment/[^@\s]+|payloads/\d+|shell/[\w.-]+"
    "|service/[a-z]+|nobody|users|user_keys",
    re.ASCII,
)
"""Every form of an actor and an object. What is typed is written into the log for ever, so it may be nothing else."""


@audit_log_app.callback()
def _of_the_log() -> None:
    """Read the audit log, and verify that it is unchanged."""


@audit_log_app.command()
def verify(
    head: Annotated[str, typer.Option(help="`number:hash` from an earlier run; the chain must still contain it.")] = "",
) -> None:
    """Verify the hash chain; the exit code is 1 if it is broken."""
    walk, passes = asyncio.run(_walk(settings(), head))
    if walk.broken:
        typer.echo(f"broken at entry {walk.broken}: {walk.why}", err=True)
        raise typer.Exit(1)
    if not passes:
        typer.echo(f"the chain does not contain {head}: entries at its end are missing", err=True)
        raise typer.Exit(1)
    typer.echo(f"holds: {walk.head.number}:{walk.head.hash}" if walk.head else "holds: the log is empty")


@audit_log_app.command()
def show(
    whom: Annotated[str, typer.Argument(help="`user/<id>`, `booking/<id>`, `client/<id>` and so on.")],
) -> None:
    """Show the entries with this actor or object; the log records the reading."""
    if not NAMED.fullmatch(whom):
        raise typer.BadParameter("expected an actor or object of the audit log, such as user/<id>", param_hint="WHOM")
    for line in asyncio.run(in_identity(settings(), partial(_read, settings(), whom))):
        typer.echo(line)


async def _read(settings: Settings, whom: str, connection: AsyncConnection) -> list[str]:
    vault = open_vault(settings)
    lines = [
        f"{row.number}  {row.at:%Y-%m-%d %H:%M:%S}  {row.actor}  {row.roles or '-'}  {row.action}  {row.object}"
        f"  {orjson.dumps(await origin_of(connection, vault, row)).decode()}"
        for row in await _all_about(connection, whom)
    ]
    await append(connection, settings, "audit-log.read", whom)
    return lines


async def _all_about(connection: AsyncConnection, whom: str) -> list[Seen]:
    """All entries, oldest first."""
    found = page = await about(connection, whom)
    while page:
        page = await about(connection, whom, before=page[-1].number)
        found = found + page
    return found[::-1]


async def record(settings: Settings, action: str, object: str) -> None:
    """Record an action that a command on this machine is about to take, in a transaction of its own."""
    await in_identity(settings, lambda connection: append(connection, settings, action, object))


async def append(connection: AsyncConnection, settings: Settings, action: str, object: str) -> None:
    """Record an action in the transaction that performs it; call this as its last statement."""
    await _log(settings).append(connection, Entry(f"shell/{_operator()}", action, object))


def _operator() -> str:
    """The name of the process's owner, or the number where it has no name; no variable can say another one."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


async def _walk(settings: Settings, head: str) -> tuple[Walk, bool]:
    async def walk(connection: AsyncConnection) -> tuple[Walk, bool]:
        log = _log(settings)
        return await log.walk(connection), not head or await log.has(connection, head)

    return await in_identity(settings, walk)


async def in_identity(settings: Settings, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run `work` in one transaction of the identity database."""
    engine = open_engine(settings.database_url("identity"), pool_size=2, serves_callers=False)
    try:
        async with engine.begin() as connection:
            return await work(connection)
    finally:
        await engine.dispose()


def _log(settings: Settings) -> AuditLog:
    return AuditLog(secret(settings.audit_log_secret))
