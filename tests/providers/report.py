"""Writes the table of scenarios with what came of each cell, for the report of a proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.faults.report import Outcome, came
from tests.providers.checkouts import CHECKOUTS, Checkout
from tests.providers.rows import ROWS, Cell, Row


def lines(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    held = sum(not outcome.trouble for outcome in outcomes.values())
    yield f"{held} of {len(outcomes)} cells ended as they must, in seconds from the hold to the audit."
    yield ""
    yield f"| scenario | {' | '.join(checkout.name for checkout in CHECKOUTS)} |"
    yield "|---|" + "---|" * len(CHECKOUTS)
    notes: list[str] = []
    for row in ROWS:
        yield f"| {row.name} | {' | '.join(_cell(row, checkout, outcomes, notes) for checkout in CHECKOUTS)} |"
    yield ""
    for number, note in enumerate(notes, 1):
        yield f"{number}. {note}"


def write(folder: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write the table as Markdown into the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "providers.md").write_text("\n".join(lines(outcomes)) + "\n")


def _cell(row: Row, checkout: Checkout, outcomes: Mapping[str, Outcome], notes: list[str]) -> str:
    why = row.not_at.get(checkout.name)
    if why is None:
        return came(outcomes.get(str(Cell(row, checkout))))
    if why not in notes:
        notes.append(why)
    return f"- ({notes.index(why) + 1})"
