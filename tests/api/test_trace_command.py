"""`seatwright trace show` draws a trace for a terminal of 80 columns."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from cli.trace import draw, spans_of


def span(id: str, parent: str, name: str, began: int, took: int, *, failed: bool = False) -> dict[str, Any]:
    """As Jaeger's API gives it."""
    return {
        "spanID": id,
        "references": [{"refType": "CHILD_OF", "spanID": parent}] if parent else [],
        "processID": "p1",
        "operationName": name,
        "startTime": began,
        "duration": took,
        "tags": [{"key": "error", "type": "bool", "value": True}] if failed else [],
    }


TRACE = {
    "traceID": "ab",
    "processes": {"p1": {"serviceName": "work"}},
    "spans": [
        span("4", "2", "UPDATE", 60_000, 1_000),
        span("3", "2", "SELECT", 55_000, 1_000),
        span("1", "", "RunWorkflow:Booking", 0, 100_000),
        span("2", "1", "RunActivity:capture", 50_000, 25_000, failed=True),
        span("5", "2", "SELECT", 56_000, 2_000),
        span("6", "1", "RunActivity:" + "a" * 80, 80_000, 20_000),
    ],
}


def drawn(trace: dict[str, Any]) -> list[str]:
    out = io.StringIO()
    draw(Console(file=out, width=80, highlight=False), spans_of(trace))
    return out.getvalue().splitlines()


def test_each_step_stands_below_its_cause_and_beside_its_time() -> None:
    lines = drawn(TRACE)
    assert [line[21:] for line in lines[:4]] == [
        "   100.0 ms work    RunWorkflow:Booking",
        "    25.0 ms work      RunActivity:capture failed",
        "     3.0 ms work        SELECT x2",
        "     1.0 ms work        UPDATE",
    ]
    assert lines[0][:20] == "█" * 20
    assert lines[1][:20] == "·" * 10 + "█" * 5 + "·" * 5


def test_no_line_is_longer_than_the_terminal() -> None:
    assert max(map(len, drawn(TRACE))) <= 80


def test_what_was_caused_by_a_span_that_is_not_there_stands_at_the_left() -> None:
    orphan = span("7", "gone", "publish booking.held", 90_000, 1_000)
    [line] = drawn(TRACE | {"spans": [orphan]})
    assert line.endswith("work    publish booking.held")


def test_a_trace_without_spans_is_drawn_as_nothing() -> None:
    assert drawn(TRACE | {"spans": []}) == []
