"""`python -m bench`: every measurement, or one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench import machine, table
from bench import saga as saga_bench
from bench import worker as bench_worker
from bench.figures import Figure
from cli.leaving import leave_after
from config.settings import settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)

Rounds = Annotated[int, typer.Option(help="How often each contestant has its turn.")]
Seconds = Annotated[float, typer.Option(help="How long one turn lasts.")]
Report = Annotated[list[Path], typer.Option(help="Also write the table there: .json or .md; may be repeated.")]


@app.command()
def saga(rounds: Rounds = 5, seconds: Seconds = 8, concurrency: int = 20, report: Report = []) -> None:  # noqa: B006
    """(a) Our saga against the textbook's and against no-op workflows."""
    _tell(asyncio.run(saga_bench.run(concurrency=concurrency, seconds=seconds, rounds=rounds)), report)


@app.command(hidden=True)
def worker() -> None:
    """The worker process of `saga`."""
    bench_worker.main(settings())


def _tell(figures: Sequence[Figure], reports: Sequence[Path]) -> None:
    facts = machine.facts()
    table.show(facts, figures)
    for path in reports:
        table.write(path, facts, figures)


if __name__ == "__main__":
    leave_after(app)
