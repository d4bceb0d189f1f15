"""`seatwright reconcile`: compare the ledger with the providers' settlement reports now, and print the differences."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError

from adapters.payment.registry import PROVIDERS
from config.settings import settings
from domain.reconciliation import ReconcileDay, Reconciliation
from temporal.connection import connect
from temporal.queues import PAYMENT
from workflows.ids import reconciliation_workflow_id
from workflows.reconciliation import ReconciliationWorkflow

reconcile_app = typer.Typer(add_completion=False)


@reconcile_app.command()
def reconcile(
    day: Annotated[str, typer.Option(help="A UTC date such as 2026-11-23; yesterday if omitted.")] = "",
    provider: Annotated[str, typer.Option(help=f"One of {', '.join(PROVIDERS)}; all if omitted.")] = "",
) -> None:
    """Compare the ledger with the providers; the exit code is 1 if they differ, and 2 if one could not be compared."""
    chosen, providers = _day(day), _providers(provider)
    try:
        results, failures = asyncio.run(_reconcile(chosen, providers))
    except (RPCError, RuntimeError) as error:
        typer.echo(f"Temporal cannot be reached: {error}", err=True)
        raise typer.Exit(2) from error
    show(results)
    for failure in failures:
        typer.echo(failure, err=True)
    raise typer.Exit(2 if failures else 1 if any(result.count for result in results) else 0)


async def _reconcile(day: date, providers: list[str]) -> tuple[list[Reconciliation], list[str]]:
    return await compare_all(await connect(settings()), day, providers)


async def compare_all(client: Client, day: date, providers: list[str]) -> tuple[list[Reconciliation], list[str]]:
    """Compare with each provider; returns the results, and in words what failed at the others."""
    ended = await asyncio.gather(*(_run(client, ReconcileDay(provider=each, day=day)) for each in providers))
    results = [each for each in ended if isinstance(each, Reconciliation)]
    return results, [each for each in ended if isinstance(each, str)]


async def _run(client: Client, request: ReconcileDay) -> Reconciliation | str:
    try:
        return await client.execute_workflow(
            ReconciliationWorkflow.run,
            request,
            id=reconciliation_workflow_id(request.provider, request.day),
            task_queue=PAYMENT,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
    except WorkflowFailureError as failure:
        return f"{request.provider} {request.day}: could not be compared: {_root(failure)}"


def _root(error: BaseException) -> BaseException:
    """The error that the others only report."""
    while error.__cause__:
        error = error.__cause__
    return error


def show(results: list[Reconciliation]) -> None:
    """Print what was compared, and a table of the differences."""
    console = Console(soft_wrap=True, highlight=False)
    for result in results:
        source = "no settlement report" if result.movements is None else f"{result.movements} movements"
        verdict = f"[red]{result.count} differences[/]" if result.count else "[green]no differences[/]"
        console.print(
            f"[bold]{result.provider}[/] {result.day}: {source}, {result.looked_up} checked one by one, {verdict}"
        )
    differences = [each for result in results for each in result.differences]
    if differences:
        table = Table("provider", "booking or reference", "difference", "in the ledger", "at the provider")
        for each in differences:
            table.add_row(each.provider, each.subject, each.kind, each.ours, each.theirs)
        console.print(table)


def _day(text: str) -> date:
    today = datetime.now(UTC).date()
    try:
        day = date.fromisoformat(text) if text else today - timedelta(days=1)
    except ValueError:
        day = None
    if day is None or day > today:
        typer.echo(f"--day: expected a date up to {today}, got {text!r}", err=True)
        raise typer.Exit(2)
    return day


def _providers(name: str) -> list[str]:
    if name and name not in PROVIDERS:
        typer.echo(f"--provider: unknown provider {name}; valid: {', '.join(PROVIDERS)}", err=True)
        raise typer.Exit(2)
    return [name] if name else list(PROVIDERS)
