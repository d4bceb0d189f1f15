"""The commands of the launcher: `python -m stack …`, also mounted as `seatwright stack …`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from stack import logs as log_files
from stack import preflight
from stack.errors import StackError
from stack.stack import Seen, Stack

app = typer.Typer(help="Run the real servers, and our own processes, on this machine.", no_args_is_help=True)

Name = Annotated[str, typer.Option("--name", envvar="SEATWRIGHT_STACK", help="Which stack: each has its own data.")]
Process = Annotated[str, typer.Argument(help="A name from `status`.")]
_THROWAWAY = "Until `clean`, servers do not wait for the disk: faster, and damaged if the machine loses power."

out = Console()
err = Console(stderr=True)


@contextmanager
def _plainly() -> Iterator[None]:
    """Print errors that the reader can act on without a traceback."""
    try:
        yield
    except StackError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def up(
    names: Annotated[list[str] | None, typer.Argument(help="Only these, and all that they need.")] = None,
    name: Name = "demo",
    servers: Annotated[bool, typer.Option("--servers", help="Only servers, none of our own processes.")] = False,
    port: Annotated[list[str] | None, typer.Option("--port", metavar="NAME=NUMBER", help="Another port.")] = None,
    ports: Annotated[str, typer.Option(help="`free` lets a new stack choose unused ports.")] = "default",
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="SEATWRIGHT_X=VALUE", help="A setting.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Also traces, graphs and alerts.")] = False,
    throwaway: Annotated[bool, typer.Option("--throwaway", help=_THROWAWAY)] = False,
) -> None:
    """Start what does not run, adopt what does, and wait until all is ready."""
    with _plainly():
        doctor()
        started = time.monotonic()
        stack = _stack(name, ports)
        chosen = {key: _number(value) for key, value in map(_pair, port or [])}
        settings = dict(map(_pair, setting or []))
        stack.up(*names or [], servers=servers, ports=chosen, settings=settings, watched=watch, throwaway=throwaway)
        err.print(f"stack {name!r} is up after {time.monotonic() - started:.1f} s; its variables: {stack.paths.env}")
        if watch:
            alerts = f"http://127.0.0.1:{stack.ports['prometheus']}/api/v1/alerts"
            err.print(f"graphs: {stack.env['SEATWRIGHT_GRAPHS_URL']}\nalerts: {alerts}", highlight=False)


@app.command()
def down(name: Name = "demo") -> None:
    """Stop everything of this stack; its data stays."""
    with _plainly():
        Stack(name).down()


@app.command()
def clean(name: Name = "demo") -> None:
    """Stop everything of this stack and delete its data, ports and passwords."""
    with _plainly():
        Stack(name).clean()


@app.command()
def start(process: Process, name: Name = "demo") -> None:
    """Start one process, and wait until it is ready."""
    with _plainly():
        Stack(name).start(process)


@app.command()
def stop(process: Process, name: Name = "demo") -> None:
    """Stop one process gently."""
    with _plainly():
        Stack(name).stop(process)


@app.command()
def restart(process: Process, name: Name = "demo") -> None:
    """Stop one process and start it again."""
    with _plainly():
        Stack(name).restart(process)


@app.command()
def kill(process: Process, name: Name = "demo") -> None:
    """Kill one process as a crash would (SIGKILL); `start` brings it back."""
    with _plainly():
        Stack(name).kill(process)


@app.command()
def status(name: Name = "demo") -> None:
    """Show each process: whether it is ready, its pid, ports and how long it has run."""
    table = Table("name", "state", "pid", "up for", box=None, header_style="bold")
    table.add_column("at", overflow="fold")
    with _plainly():
        for seen in Stack(name).status():
            table.add_row(*_cells(seen))
    out.print(table)


@app.command()
def logs(
    names: Annotated[list[str] | None, typer.Argument(help="Only these.")] = None,
    name: Name = "demo",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they write.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="So many of the last lines of each.")] = 50,
) -> None:
    """Print the logs, each line behind its process's name."""
    with _plainly():
        stack = Stack(name)
        known = stack.names()
        if unknown := set(names or ()) - set(known):
            raise StackError(f"nothing here is called {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        log_files.show(out, stack.paths, names or known, lines, follow)


@app.command()
def env(name: Name = "demo") -> None:
    """Print the SEATWRIGHT_ variables of the stack, for `set -a; source <(… env)`."""
    with _plainly():
        stack = Stack(name)
        if not stack.paths.env.exists():
            raise StackError(f"there is no stack {name!r} yet; `up` makes it")
        typer.echo(stack.paths.env.read_text(), nl=False)


@app.command()
def doctor() -> None:
    """Name what this machine lacks, and how to get it."""
    if preflight.main([]):
        raise typer.Exit(1)


def _stack(name: str, ports: str) -> Stack:
    if ports == "free":
        return Stack(name, ports="free")
    if ports != "default":
        raise StackError(f"--ports is `free` or `default`, not {ports!r}; for a single one: --port api=8001")
    return Stack(name)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise StackError(f"{text!r} should be NAME=VALUE")
    return key, value


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StackError(f"{text!r} is no port")
    return int(text)


def _cells(seen: Seen) -> list[str]:
    colour = {"ready": "green", "done": "green", "stopped": "dim"}.get(seen.state, "red")
    since = str(timedelta(seconds=int(time.time() - seen.started_at))) if seen.started_at else ""
    listeners = [str(port) if key == seen.name else f"{key}:{port}" for key, port in seen.ports.items()]
    at = " ".join([seen.page, *listeners] if seen.page else listeners)
    return [seen.name, f"[{colour}]{seen.state}[/]", str(seen.pid or ""), since, at]
