"""Draws the traces of a booking in the terminal, from Jaeger's API: what took how long, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import httpx2
import orjson
import typer
from rich.console import Console
from rich.markup import escape

from config.settings import settings
from workflows.ids import booking_workflow_id

trace_app = typer.Typer(no_args_is_help=True, add_completion=False, help="Show the traces of bookings.")

_BAR: Final = 20  # characters
_WORKER: Final = "work"


class Span(NamedTuple):
    """One step.

    Attributes:
        began: Microseconds since 1970.
        took: Microseconds.
    """

    id: str
    parent: str
    process: str
    name: str
    began: int
    took: int
    is_error: bool


class Line(NamedTuple):
    """One line of the drawing: a span, or several of the same name that follow each other and caused nothing."""

    depth: int
    spans: Sequence[Span]


@trace_app.callback()
def _of_traces() -> None:
    """Show the traces of bookings."""


@trace_app.command(name="show")
def show(
    of: Annotated[str, typer.Argument(help="A booking's id, or a trace's (32 hex digits).")],
) -> None:
    """Draw each step with its time: where it waited, what was tried again, what failed."""
    own = settings()
    if not own.traces_ui_url:
        typer.echo("SEATWRIGHT_TRACES_UI_URL names no Jaeger; `make demo WATCH=1` starts one.", err=True)
        raise typer.Exit(2)
    try:
        with httpx2.Client(base_url=own.traces_ui_url, timeout=10) as jaeger:
            traces = _of_booking(jaeger, of) if "-" in of else of_trace(jaeger, of)
    except httpx2.HTTPError as error:
        typer.echo(f"Jaeger at {own.traces_ui_url} does not answer: {type(error).__name__}", err=True)
        raise typer.Exit(2) from error
    if not traces:
        typer.echo(f"Jaeger has no trace of {of}; it keeps the latest ones only, in production a sample.", err=True)
        raise typer.Exit(1)
    console = Console(highlight=False)
    for trace in traces:
        console.print(f"\n[bold]trace {trace['traceID']}[/]")
        draw(console, spans_of(trace))


def of_trace(jaeger: httpx2.Client, trace: str) -> list[dict[str, Any]]:
    """The trace as Jaeger's API gives it; an empty list if Jaeger does not have it."""
    answer = jaeger.get(f"/api/traces/{trace}")
    return _data(answer)


def _of_booking(jaeger: httpx2.Client, booking: str) -> list[dict[str, Any]]:
    """The traces with a step of the booking's saga: that of its hold, which has all later steps, and its commands'."""
    try:
        workflow = booking_workflow_id(UUID(booking))
    except ValueError:
        return []
    tags = orjson.dumps({"temporalWorkflowID": workflow}).decode()
    return _data(jaeger.get("/api/traces", params={"service": _WORKER, "tags": tags, "limit": 20, "lookback": "30d"}))


def _data(answer: httpx2.Response) -> list[dict[str, Any]]:
    if answer.status_code == 404:
        return []
    found: list[dict[str, Any]] | None = answer.raise_for_status().json()["data"]
    return sorted(found or [], key=lambda trace: min(span["startTime"] for span in trace["spans"]))


def spans_of(trace: dict[str, Any]) -> list[Span]:
    """The spans of a trace as Jaeger's API gives it, by the time when they began."""
    processes = {name: process["serviceName"] for name, process in trace["processes"].items()}
    found = [
        Span(
            id=span["spanID"],
            parent=next((each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"), ""),
            process=processes[span["processID"]],
            name=span["operationName"],
            began=span["startTime"],
            took=span["duration"],
            is_error=any(tag["key"] == "error" and tag["value"] for tag in span["tags"]),
        )
        for span in trace["spans"]
    ]
    return sorted(found, key=lambda span: span.began)


def draw(console: Console, spans: Sequence[Span]) -> None:
    """Print the spans as a tree beside their time: 80 columns are enough, longer names are cut."""
    if not spans:
        return
    first, last = spans[0].began, max(span.began + span.took for span in spans)
    for depth, some in lines_of(spans):
        name = escape("  " * depth + some[0].name) + (f" [dim]x{len(some)}[/]" if len(some) > 1 else "")
        bar = _bar(some[0].began - first, some[-1].began + some[-1].took - first, last - first)
        failed = any(span.is_error for span in some)
        took = sum(span.took for span in some) / 1000
        style = "red" if failed else ""
        console.print(
            f"{bar} {took:>8,.1f} ms [dim]{some[0].process:<7}[/] {name}{' failed' if failed else ''}",
            style=style, no_wrap=True, overflow="ellipsis", crop=True,
        )  # fmt: skip


def lines_of(spans: Sequence[Span]) -> Iterator[Line]:
    """The tree's lines from the top: each span after what caused it."""
    ids = {span.id for span in spans}
    roots = [span for span in spans if span.parent not in ids]
    parents = {span.parent for span in spans}

    def below(siblings: Iterable[Span], depth: int) -> Iterator[Line]:
        for key, group in groupby(
            siblings, lambda span: span.id if span.id in parents else f"{span.name} {span.is_error}"
        ):
            some = list(group)
            yield Line(depth, some)
            yield from below([span for span in spans if span.parent == some[0].id] if key in ids else [], depth + 1)

    yield from below(roots, 0)


def _bar(begin: int, end: int, whole: int) -> str:
    scale = _BAR / max(whole, 1)
    left = min(int(begin * scale), _BAR - 1)
    width = max(1, min(round((end - begin) * scale), _BAR - left))
    return "·" * left + "█" * width + "·" * (_BAR - left - width)
