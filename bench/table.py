"""The table of all figures: on the terminal, as Markdown, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import Figure

_HEAD = ("part", "figure", "median", "spread", "must reach", "reached")
_WIDTH = 160  # at least; a narrower table would wrap every figure
Facts = Sequence[tuple[str, str]]


def show(facts: Facts, figures: Sequence[Figure]) -> None:
    """Print the facts about the machine, then the table."""
    console = Console(highlight=False, width=max(Console().width, _WIDTH))
    for name, value in facts:
        console.print(f"{name:<12} {value}", markup=False, soft_wrap=True)
    table = Table(title="seatwright bench")
    for name in _HEAD:
        table.add_column(name, no_wrap=name != "median")
    for figure in figures:
        style = "bold red" if figure.reached is False else ""
        table.add_row(*_cells(figure), style=style)
    console.print(table)


def write(path: Path, facts: Facts, figures: Sequence[Figure]) -> None:
    """Write facts and table to a file: JSON for the suffix `.json`, else Markdown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps({"facts": dict(facts), "figures": list(map(asdict, figures))}, indent=1) + "\n")
        return
    rows = [
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts),
        "",
        f"| {' | '.join(_HEAD)} |",
        "|---|---|---:|---:|---:|---|",
        *(f"| {' | '.join(_cells(figure))} |" for figure in figures),
    ]
    path.write_text("\n".join(rows) + "\n")


def _cells(figure: Figure) -> tuple[str, ...]:
    median = "" if figure.median is None else f"{_number(figure.median)} {figure.unit}".strip()
    value = "; ".join(filter(None, (median, figure.words)))
    spread = " to ".join(map(_number, figure.spread)) if figure.spread else ""
    reached = {True: "yes", False: "NO", None: ""}[figure.reached]
    return figure.part, figure.name, value, spread, figure.must, reached


def _number(value: float) -> str:
    """Three significant digits, but never fewer than those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
