"""`python -m bench`: measures the cost of a booking beside simpler baselines; all parts, or one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from bench import baseline_route as baseline
from bench import generator, machine, table
from bench import holds as holds_part
from bench import load as load_part
from bench import refusal as refusal_part
from bench import saga as saga_part
from bench import size as size_part
from bench import tokens as tokens_part
from bench import traces as traces_part
from bench import worker as worker_process
from bench.figures import Figure
from cli.entrypoint import run_and_exit
from config.settings import settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)

Rounds = Annotated[int, typer.Option(help="Turns of each contestant.")]
Seconds = Annotated[float, typer.Option(help="Seconds of one turn.")]
Concurrency = Annotated[int, typer.Option(help="Callers; each waits for its response before its next call.")]
Cores = Annotated[int, typer.Option(help="Cores of the system without sandbox and generator; 0 for all.")]
Rates = Annotated[str, typer.Option(help="Rising rates in bookings a second; stops after two that are not sustained.")]
Bookings = Annotated[int, typer.Option(help="Number of earlier bookings in the tables.")]
Details = Annotated[float, typer.Option(help="The share of the traces with all details.")]
Reports = Annotated[list[Path] | None, typer.Option("--report", help="Also write the table to this .json or .md file.")]
Part = Coroutine[Any, Any, Sequence[Figure]]

RATES = "4,8,12,13,14,16,20,25,30,40,50"


@app.command(name="all")
def all_parts(reports: Reports = None) -> None:
    """Run every part, and print one table."""
    _measure(
        reports,
        saga_part.run(rounds=5, seconds=8, concurrency=20),
        load_part.run(rates=_numbers(RATES), seconds=20, cores=2),
        holds_part.run(rounds=7),
        refusal_part.run(rounds=5, seconds=5, concurrency=20),
        size_part.run(rounds=5, seconds=8, concurrency=10, bookings=1_000_000),
        tokens_part.run(rounds=7),
        traces_part.run(rounds=5, seconds=8, concurrency=10),
    )


@app.command()
def saga(rounds: Rounds = 5, seconds: Seconds = 8, concurrency: Concurrency = 20, reports: Reports = None) -> None:
    """(a) Compare the booking saga with a textbook saga and a no-op workflow."""
    _measure(reports, saga_part.run(rounds=rounds, seconds=seconds, concurrency=concurrency))


@app.command()
def load(rates: Rates = RATES, seconds: Seconds = 20, cores: Cores = 2, reports: Reports = None) -> None:
    """(b) Load the whole system through REST, open loop, at rising rates."""
    _measure(reports, load_part.run(rates=_numbers(rates), seconds=seconds, cores=cores))


@app.command()
def holds(rounds: Rounds = 7, reports: Reports = None) -> None:
    """(c) Compare the hold script with plain SET NX PX, by the CPU of Redis."""
    _measure(reports, holds_part.run(rounds=rounds))


@app.command()
def refusal(rounds: Rounds = 5, seconds: Seconds = 5, concurrency: Concurrency = 20, reports: Reports = None) -> None:
    """(d) Compare the refusal of a taken seat with a bare FastAPI route."""
    _measure(reports, refusal_part.run(rounds=rounds, seconds=seconds, concurrency=concurrency))


@app.command()
def size(
    rounds: Rounds = 5,
    seconds: Seconds = 8,
    concurrency: Concurrency = 10,
    bookings: Bookings = 1_000_000,
    reports: Reports = None,
) -> None:
    """(e) Measure a booking by the size of the event and of the tables."""
    _measure(reports, size_part.run(rounds=rounds, seconds=seconds, concurrency=concurrency, bookings=bookings))


@app.command()
def tokens(rounds: Rounds = 7, reports: Reports = None) -> None:
    """(f) Measure authentication and authorization of a request."""
    _measure(reports, tokens_part.run(rounds=rounds))


@app.command()
def traces(
    rounds: Rounds = 5,
    seconds: Seconds = 8,
    concurrency: Concurrency = 10,
    details: Details = traces_part.DETAILS,
    reports: Reports = None,
) -> None:
    """(g) Compare bookings with traces and without."""
    _measure(reports, traces_part.run(rounds=rounds, seconds=seconds, concurrency=concurrency, details=details))


@app.command(hidden=True)
def baseline_route(port: int) -> None:
    """Serve the bare route that `refusal` compares with."""
    baseline.main(port)


@app.command(hidden=True)
def generate() -> None:
    """Run the load generator process."""
    generator.main()


@app.command(hidden=True)
def worker() -> None:
    """Run the worker process of `saga`."""
    worker_process.main(settings())


def _numbers(text: str) -> Sequence[float]:
    return [float(number) for number in text.split(",")]


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _measure(reports: Sequence[Path] | None, *parts: Part) -> None:
    signal.signal(signal.SIGTERM, _interrupt)  # so that SIGTERM stops the stack, too
    before = machine.load()
    figures = [figure for part in parts for figure in asyncio.run(part)]
    facts = [*machine.facts(), ("load average", f"{before} before; {machine.load()} afterwards")]
    table.show(facts, figures)
    for path in reports or ():
        table.write(path, facts, figures)


if __name__ == "__main__":
    run_and_exit(app)
