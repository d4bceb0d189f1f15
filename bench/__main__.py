"""`python -m bench`: what a booking costs, measured side by side with simpler things; all of it, or one part."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from bench import bare as bare_route
from bench import generator, machine, table
from bench import holds as holds_part
from bench import load as load_part
from bench import refusal as refusal_part
from bench import saga as saga_part
from bench import size as size_part
from bench import tokens as tokens_part
from bench import worker as worker_process
from bench.figures import Figure
from cli.entrypoint import run_and_exit
from config.settings import settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)

Rounds = Annotated[int, typer.Option(help="How often each contestant has its turn.")]
Seconds = Annotated[float, typer.Option(help="How long one turn lasts.")]
Concurrency = Annotated[int, typer.Option(help="Callers, each of whom waits for its answer before the next call.")]
Cores = Annotated[int, typer.Option(help="How many cores all but sandbox and generator get; 0 for all there are.")]
Rates = Annotated[str, typer.Option(help="Bookings a second to offer, rising; ends when two are not sustained.")]
Bookings = Annotated[int, typer.Option(help="How many bookings there were before.")]
Reports = Annotated[list[Path] | None, typer.Option("--report", help="Also write the table there: .json or .md.")]
Part = Coroutine[Any, Any, Sequence[Figure]]

RATES = "4,8,12,13,14,16,20,25,30,40,50"


@app.command(name="all")
def all_parts(reports: Reports = None) -> None:
    """Every part, in one table."""
    _measure(
        reports,
        saga_part.run(rounds=5, seconds=8, concurrency=20),
        load_part.run(rates=_numbers(RATES), seconds=20, cores=2),
        holds_part.run(rounds=7),
        refusal_part.run(rounds=5, seconds=5, concurrency=20),
        size_part.run(rounds=5, seconds=8, concurrency=10, bookings=1_000_000),
        tokens_part.run(rounds=7),
    )


@app.command()
def saga(rounds: Rounds = 5, seconds: Seconds = 8, concurrency: Concurrency = 20, reports: Reports = None) -> None:
    """(a) Our saga against the textbook's and against no-op workflows."""
    _measure(reports, saga_part.run(rounds=rounds, seconds=seconds, concurrency=concurrency))


@app.command()
def load(rates: Rates = RATES, seconds: Seconds = 20, cores: Cores = 2, reports: Reports = None) -> None:
    """(b) The whole system through REST, open loop, at rising rates."""
    _measure(reports, load_part.run(rates=_numbers(rates), seconds=seconds, cores=cores))


@app.command()
def holds(rounds: Rounds = 7, reports: Reports = None) -> None:
    """(c) The hold script against plain SET NX PX, by the CPU of redis-server."""
    _measure(reports, holds_part.run(rounds=rounds))


@app.command()
def refusal(rounds: Rounds = 5, seconds: Seconds = 5, concurrency: Concurrency = 20, reports: Reports = None) -> None:
    """(d) Refusing a taken seat against a bare FastAPI route."""
    _measure(reports, refusal_part.run(rounds=rounds, seconds=seconds, concurrency=concurrency))


@app.command()
def size(
    rounds: Rounds = 5,
    seconds: Seconds = 8,
    concurrency: Concurrency = 10,
    bookings: Bookings = 1_000_000,
    reports: Reports = None,
) -> None:
    """(e) Cost per booking by the size of the event and of the tables."""
    _measure(reports, size_part.run(rounds=rounds, seconds=seconds, concurrency=concurrency, bookings=bookings))


@app.command()
def tokens(rounds: Rounds = 7, reports: Reports = None) -> None:
    """(f) Knowing who calls and whether they may, on each request."""
    _measure(reports, tokens_part.run(rounds=rounds))


@app.command(hidden=True)
def bare(port: int) -> None:
    """The bare route of `refusal`."""
    bare_route.main(port)


@app.command(hidden=True)
def generate() -> None:
    """The process that makes the load."""
    generator.main()


@app.command(hidden=True)
def worker() -> None:
    """The worker process of `saga`."""
    worker_process.main(settings())


def _numbers(text: str) -> Sequence[float]:
    return [float(number) for number in text.split(",")]


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _measure(reports: Sequence[Path] | None, *parts: Part) -> None:
    signal.signal(signal.SIGTERM, _interrupt)  # so that the stack is taken down then, too
    before = machine.load()
    figures = [figure for part in parts for figure in asyncio.run(part)]
    facts = [*machine.facts(), ("load average", f"{before} before; {machine.load()} afterwards")]
    table.show(facts, figures)
    for path in reports or ():
        table.write(path, facts, figures)


if __name__ == "__main__":
    run_and_exit(app)
