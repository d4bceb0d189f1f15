"""Registers and ends the OAuth clients of other companies."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.keys import in_identity, record
from db.identity import clients
from domain.identity import ROLES_OF_CLIENTS, Role, Scope, SigningAlgorithm
from domain.names import BadName, name_of

clients_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Register and end applications of other companies."
)

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@clients_app.callback()
def _of_clients() -> None:
    """Register and end applications of other companies."""


@clients_app.command()
def add(
    name: Annotated[str, typer.Argument(help="The name that people see on the consent page.")],
    redirect_uri: Annotated[list[str], typer.Option(help="An exact address to return to after the log-in.")] = [],  # noqa: B006
    scope: Annotated[list[Scope], typer.Option(help="A scope that its tokens may have.")] = [],  # noqa: B006
    role: Annotated[list[Role], typer.Option(help="A role that it has on its own behalf.")] = [],  # noqa: B006
    public: Annotated[bool, typer.Option(help="It cannot keep a secret, like a mobile app.")] = False,
    partner: Annotated[bool, typer.Option(help="It acts on its own behalf (client_credentials).")] = False,
    introspects: Annotated[bool, typer.Option(help="It may introspect every token.")] = False,
    id_token_signed_response_alg: Annotated[
        SigningAlgorithm, typer.Option(help="How its id tokens are signed.")
    ] = SigningAlgorithm.RS256,
) -> None:
    """Register a client. Its secret is shown only now."""
    if Scope.FIRST_PARTY in scope:
        raise typer.BadParameter("only Seatwright's own log-in has this scope", param_hint="--scope")
    if not set(role) <= ROLES_OF_CLIENTS:
        raise typer.BadParameter("the roles support and operator are for people only", param_hint="--role")
    for uri in redirect_uri:
        _check(uri)
    shown = _name(name)
    grants = {"authorization_code", "refresh_token"} if redirect_uri else set()

    async def register(connection: AsyncConnection) -> tuple[UUID, str | None]:
        made = await clients.add(
            connection,
            shown,
            redirect_uris=redirect_uri,
            grants=grants | ({"client_credentials"} if partner else set()),
            scopes=scope,
            roles=role,
            is_public=public,
            may_introspect=introspects,
            id_token_algorithm=id_token_signed_response_alg,
        )
        await record(connection, "client.added", f"client/{made[0]}")
        return made

    client_id, secret = in_identity(register)
    typer.echo(f"client_id: {client_id}")
    if secret:
        typer.echo(f"client_secret: {secret}")


@clients_app.command()
def sign_with(client_id: UUID, algorithm: SigningAlgorithm) -> None:
    """Sign a client's id tokens with another algorithm from now on."""

    async def change(connection: AsyncConnection) -> bool:
        changed = await clients.set_id_token_algorithm(connection, client_id, algorithm)
        if changed:
            await record(connection, f"client.signed-by:{algorithm}", f"client/{client_id}")
        return changed

    if not in_identity(change):
        typer.echo(f"there is no active client {client_id}", err=True)
        raise typer.Exit(1)
    typer.echo(f"id tokens of {client_id} are signed with {algorithm}")


@clients_app.command()
def end(client_id: UUID) -> None:
    """End a client and all of its tokens."""

    async def finish(connection: AsyncConnection) -> bool:
        ended = await clients.end(connection, client_id)
        if ended:
            await record(connection, "client.ended", f"client/{client_id}")
        return ended

    if not in_identity(finish):
        typer.echo(f"there is no active client {client_id}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{client_id} has ended")


def _name(text: str) -> str:
    """The name as people see it on the consent page, by the rules for all names."""
    try:
        return name_of(text)
    except BadName as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from error


def _check(uri: str) -> None:
    """Allow HTTPS, HTTP to this machine, and an app's own scheme with a dot (RFC 8252, 7.1); refuse fragments."""
    parts = urlsplit(uri)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK) or "." in parts.scheme
    if not is_safe or parts.fragment or not uri.isascii() or not uri.isprintable():
        raise typer.BadParameter(f"{uri!r} is not a permitted address to return to", param_hint="--redirect-uri")
