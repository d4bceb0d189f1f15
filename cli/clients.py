"""Applications of others: register one, end one."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.keys import in_identity, noted
from db.identity import clients
from domain.identity import ROLES_OF_CLIENTS, Role, Scope

clients_app = typer.Typer(no_args_is_help=True, add_completion=False, help="Applications of others.")

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@clients_app.callback()
def _of_clients() -> None:
    """Applications of others."""


@clients_app.command()
def add(
    name: Annotated[str, typer.Argument(help="As people will read it when they are asked for their permission.")],
    redirect_uri: Annotated[list[str], typer.Option(help="Where people are sent back to, exactly.")] = [],  # noqa: B006
    scope: Annotated[list[Scope], typer.Option(help="What its tokens may be good for.")] = [],  # noqa: B006
    role: Annotated[list[Role], typer.Option(help="What it may do on its own behalf.")] = [],  # noqa: B006
    public: Annotated[bool, typer.Option(help="It can keep no secret, as an app on a phone.")] = False,
    partner: Annotated[bool, typer.Option(help="It acts on its own behalf (client_credentials).")] = False,
    introspects: Annotated[bool, typer.Option(help="It may ask what any token says.")] = False,
) -> None:
    """Register a client. Its secret is shown only now."""
    if Scope.FIRST_PARTY in scope:
        raise typer.BadParameter("the scope of our own log-in is not for others", param_hint="--scope")
    if not set(role) <= ROLES_OF_CLIENTS:
        raise typer.BadParameter("support and operator are for people", param_hint="--role")
    for uri in redirect_uri:
        _check(uri)
    grants = {"authorization_code", "refresh_token"} if redirect_uri else set()

    async def register(connection: AsyncConnection) -> tuple[UUID, str | None]:
        made = await clients.add(
            connection,
            name,
            redirect_uris=redirect_uri,
            grants=grants | ({"client_credentials"} if partner else set()),
            scopes=scope,
            roles=role,
            is_public=public,
            may_introspect=introspects,
        )
        await noted(connection, "client.added", f"client/{made[0]}")
        return made

    client_id, secret = in_identity(register)
    typer.echo(f"client_id: {client_id}")
    if secret:
        typer.echo(f"client_secret: {secret}")


@clients_app.command()
def end(client_id: UUID) -> None:
    """End a client, and with it every token that it holds."""

    async def finish(connection: AsyncConnection) -> bool:
        ended = await clients.end(connection, client_id)
        if ended:
            await noted(connection, "client.ended", f"client/{client_id}")
        return ended

    if not in_identity(finish):
        typer.echo(f"there is no live client {client_id}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{client_id} has ended")


def _check(uri: str) -> None:
    """TLS, or this machine, or an app's own scheme, which has a dot (RFC 8252, 7.1); nothing behind a `#`."""
    parts = urlsplit(uri)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK) or "." in parts.scheme
    if not is_safe or parts.fragment or not uri.isascii() or not uri.isprintable():
        raise typer.BadParameter(f"{uri!r} is no address to send people back to", param_hint="--redirect-uri")
