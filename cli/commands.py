"""The subcommands of `seatwright`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

import typer
import uvloop
from prometheus_client import start_http_server

import stack
from api.app import PARTS, create_app
from api.server import serve as serve_app
from audit.report import print_findings
from audit.run import audit as run_audit
from cli import demo as demonstration
from cli.audit_log import audit_log_app
from cli.clients import clients_app
from cli.keys import keys_app
from cli.migrate import migrate as run_migrations
from cli.operate import booking_app, event_app, exchange_app, refund_app
from cli.people import people_app
from cli.reconcile import reconcile
from config.logging import configure as configure_logging
from config.settings import settings
from config.tracing import configure as configure_tracing
from workers import consumers, relay
from workers.process import Work, run_until_stopped
from workers.temporal import worker

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Seatwright sells tickets, and never sells a seat twice.",
)
app.add_typer(stack.app, name="stack", help="Run the servers on a machine without Docker.")
app.add_typer(booking_app, name="booking", help="Decide about a booking that waits for an operator.")
app.add_typer(refund_app, name="refund", help="Decide about a refund that waits for an operator.")
app.add_typer(audit_log_app, name="audit-log", help="Read the audit log, and verify that it is unchanged.")
app.add_typer(clients_app, name="clients", help="Register and end applications of other companies.")
app.add_typer(keys_app, name="keys", help="Rotate, list and revoke the keys that sign tokens.")
app.add_typer(people_app, name="people", help="Roles, lost second factors, keys for personal data.")
app.add_typer(exchange_app, name="exchange", help="Decide about an exchange that waits for an operator.")
app.add_typer(event_app, name="event", help="Pause and resume the cancellation of an event.")

app.command()(reconcile)

Only = Annotated[str, typer.Option(help="Comma-separated names; all if omitted.")]


@app.callback()
def use_local_stack(
    name: Annotated[str, typer.Option("--stack", envvar="SEATWRIGHT_STACK", help="The local stack to use.")] = "demo",
) -> None:
    """Use the settings of the local stack unless SEATWRIGHT_MODE is set; the environment's own values win."""
    local = stack.Stack(name)
    if "SEATWRIGHT_MODE" not in os.environ and local.place.state.exists():
        os.environ.update(local.env | dict(os.environ))


@app.command()
def migrate() -> None:
    """Create or update databases, topics and the search index; safe to repeat."""
    _prepare()
    asyncio.run(run_migrations(settings()))


@app.command()
def serve(
    only: Only = "", host: str = "127.0.0.1", port: Annotated[int, typer.Option(help="TCP port.")] = 8000
) -> None:
    """Serve the REST API."""
    services = _names(only, PARTS)
    _prepare()
    if settings().metrics_port:
        start_http_server(settings().metrics_port, addr="127.0.0.1")
    serve_app(create_app(settings(), services), host=host, port=port, drain=settings().drain)


@app.command()
def work(only: Only = "") -> None:
    """Run the Temporal workers: catalogue, reservation, payment."""
    _run(worker.run, _names(only, worker.SERVICES))


@app.command(name="relay")
def relay_outboxes(only: Only = "") -> None:
    """Publish the outboxes to Kafka: identity, catalogue, reservation, payment."""
    _run(relay.run, _names(only, relay.SERVICES))


@app.command()
def consume(only: Only = "") -> None:
    """Run the Kafka consumers: notification, search, analytics."""
    _run(consumers.run, _names(only, consumers.NAMES))


@app.command()
def audit(event: Annotated[UUID | None, typer.Option(help="Check the bookings of this event only.")] = None) -> None:
    """Check all invariants; the exit code is 1 if one is broken."""
    findings = asyncio.run(run_audit(settings(), event))
    print_findings(findings)
    raise typer.Exit(1 if findings else 0)


@app.command()
def demo() -> None:
    """Make one booking through the public API, and show each of its steps."""
    asyncio.run(demonstration.run(settings()))


def _prepare() -> None:
    configure_logging()
    configure_tracing()


def _run(work: Work, names: list[str]) -> None:
    _prepare()
    uvloop.run(run_until_stopped(work, settings(), names))


def _names(only: str, known: Iterable[str]) -> list[str]:
    """The names in `only`, or all known names."""
    available, names = list(known), [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in names if name not in available]:
        typer.echo(f"--only: unknown name {', '.join(unknown)}; valid names: {', '.join(available)}", err=True)
        raise typer.Exit(2)
    return names or available
