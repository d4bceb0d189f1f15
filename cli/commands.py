"""The subcommands of `seatwright`."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from typer.core import TyperGroup

import stack
from config import tracing
from config.logging import configure as configure_logging
from config.needs import Verb, settings_of_process
from config.settings import Settings, settings

if TYPE_CHECKING:
    from workers.process import Work

_ON_DEMAND = {
    "booking": "cli.operate:booking_app",
    "refund": "cli.operate:refund_app",
    "exchange": "cli.operate:exchange_app",
    "late-payment": "cli.operate:late_payment_app",
    "event": "cli.operate:event_app",
    "audit-log": "cli.audit_log:audit_log_app",
    "clients": "cli.clients:clients_app",
    "keys": "cli.keys:keys_app",
    "people": "cli.people:people_app",
    "reconcile": "cli.reconcile:reconcile_app",
    "rebuild": "cli.rebuild:rebuild_app",
    "trace": "cli.trace:trace_app",
}
"""Commands in modules of their own, which are imported only when they run: together they slow every start by 1 s."""


class _OnDemand(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_ON_DEMAND]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _ON_DEMAND:
            return super().get_command(ctx, cmd_name)
        module, _, name = _ON_DEMAND[cmd_name].partition(":")
        command = typer.main.get_command(getattr(importlib.import_module(module), name))
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_OnDemand,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Seatwright sells tickets, and never sells a seat twice.",
)
app.add_typer(stack.app, name="stack", help="Run the servers on a machine without Docker.")

Only = Annotated[str, typer.Option(help="Comma-separated names; all if omitted.")]


@app.callback()
def use_local_stack(
    name: Annotated[str, typer.Option("--stack", envvar="SEATWRIGHT_STACK", help="The local stack to use.")] = "demo",
) -> None:
    """Use the settings of the local stack unless SEATWRIGHT_MODE is set; the environment's own values win."""
    local = stack.Stack(name)
    if "SEATWRIGHT_MODE" not in os.environ and local.paths.state.exists():
        os.environ.update(local.env | dict(os.environ))


@app.command()
def migrate() -> None:
    """Create or update databases, topics and the search index; safe to repeat."""
    from cli.migrate import migrate as run_migrations
    from db.databases import MigrationBlocked

    configure_logging()
    tracing.configure()
    try:
        asyncio.run(run_migrations(settings()))
    except MigrationBlocked as blocked:
        typer.echo(f"{blocked}", err=True)
        raise typer.Exit(1) from blocked


@app.command()
def serve(
    only: Only = "", host: str = "127.0.0.1", port: Annotated[int, typer.Option(help="TCP port.")] = 8000
) -> None:
    """Serve the REST API."""
    from prometheus_client import start_http_server

    from api.app import PARTS, create_app
    from api.edge.connections import ConnectionBounds
    from api.server import serve as serve_app

    services = _names(only, PARTS)
    with _process("serve", services) as own:
        if own.metrics_port:
            start_http_server(own.metrics_port, addr=own.metrics_host)
        ports = [port, own.internal_port] if "identity" in services else [port]
        bounds = ConnectionBounds(connections=own.connections)
        serve_app(create_app(own, services), host=host, ports=ports, bounds=bounds, drain=own.drain)


@app.command()
def work(only: Only = "") -> None:
    """Run the Temporal workers: catalogue, reservation, payment."""
    from workers.temporal import worker

    _run("work", worker.run, _names(only, worker.SERVICES))


@app.command(name="relay")
def relay_outboxes(only: Only = "") -> None:
    """Publish the outboxes to Kafka: identity, catalogue, reservation, payment."""
    from workers import relay

    _run("relay", relay.run, _names(only, relay.SERVICES))


@app.command()
def consume(only: Only = "") -> None:
    """Run the Kafka consumers: notification, search, analytics."""
    from workers import consumers

    _run("consume", consumers.run, _names(only, consumers.NAMES))


@app.command()
def audit(
    event: Annotated[list[UUID] | None, typer.Option(help="Check the bookings of this event only; repeatable.")] = None,
) -> None:
    """Check all invariants; the exit code is 1 if one is broken."""
    from audit.report import print_report
    from audit.run import report as run_audit

    report = asyncio.run(run_audit(settings(), event or None))
    print_report(report)
    raise typer.Exit(1 if report.findings else 0)


@app.command()
def demo() -> None:
    """Make one booking through the public API, and show each of its steps."""
    from cli import demo as demonstration

    asyncio.run(demonstration.run(settings()))


@contextmanager
def _process(verb: Verb, names: list[str]) -> Iterator[Settings]:
    """What surrounds the work of every process."""
    configure_logging()
    own = settings_of_process(verb, names)
    configure_logging(own.log_level)
    tracing.configure("api" if verb == "serve" else verb, own.traces_endpoint, own.traces_details)
    try:
        yield own
    finally:
        tracing.flush()


def _run(verb: Verb, work: Work, names: list[str]) -> None:
    import uvloop

    from workers.process import run_until_stopped

    with _process(verb, names) as own:
        uvloop.run(run_until_stopped(work, own, names))


def _names(only: str, known: Iterable[str]) -> list[str]:
    """The names in `only`, or all known names."""
    available, names = list(known), [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in names if name not in available]:
        typer.echo(f"--only: unknown name {', '.join(unknown)}; valid names: {', '.join(available)}", err=True)
        raise typer.Exit(2)
    return names or available
