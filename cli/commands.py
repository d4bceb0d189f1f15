"""The verbs of the `seatwright` command."""

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
    help="Seatwright sells seats: never one twice.",
)
app.add_typer(stack.app, name="stack", help="The real servers on a machine without Docker.")
app.add_typer(booking_app, name="booking", help="Operate on one booking's saga.")
app.add_typer(refund_app, name="refund", help="Operate on one refund.")
app.add_typer(audit_log_app, name="audit-log", help="Who did what, and is it as it was written?")
app.add_typer(clients_app, name="clients", help="Applications of others.")
app.add_typer(keys_app, name="keys", help="The keys that sign tokens.")
app.add_typer(people_app, name="people", help="People: first roles, lost telephones, keys.")
app.add_typer(exchange_app, name="exchange", help="Operate on one exchange.")
app.add_typer(event_app, name="event", help="Operate on the cancellation of an event.")

app.command()(reconcile)

Only = Annotated[str, typer.Option(help="Comma-separated services; all when left out.")]


@app.callback()
def use_local_stack(
    name: Annotated[
        str, typer.Option("--stack", envvar="SEATWRIGHT_STACK", help="The stack of this machine to work on.")
    ] = "demo",
) -> None:
    """Where no mode is configured, work on the stack that `seatwright stack` runs here; what is set by hand wins."""
    local = stack.Stack(name)
    if "SEATWRIGHT_MODE" not in os.environ and local.place.state.exists():
        os.environ.update(local.env | dict(os.environ))


@app.command()
def migrate() -> None:
    """Create databases, roles, tables, topics and the search index; again is no harm."""
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
def audit(event: Annotated[UUID | None, typer.Option(help="Look at one event's bookings only.")] = None) -> None:
    """Look for broken invariants; exit code 1 when there is one."""
    findings = asyncio.run(run_audit(settings(), event))
    print_findings(findings)
    raise typer.Exit(1 if findings else 0)


@app.command()
def demo() -> None:
    """Make one booking through the public API, and show every step of it."""
    asyncio.run(demonstration.run(settings()))


def _prepare() -> None:
    configure_logging()
    configure_tracing()


def _run(work: Work, names: list[str]) -> None:
    _prepare()
    uvloop.run(run_until_stopped(work, settings(), names))


def _names(only: str, known: Iterable[str]) -> list[str]:
    """The names in `only`, or all that are known."""
    there, names = list(known), [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in names if name not in there]:
        typer.echo(f"--only: unknown: {', '.join(unknown)}; known: {', '.join(there)}", err=True)
        raise typer.Exit(2)
    return names or there
