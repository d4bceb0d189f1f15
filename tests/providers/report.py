"""Writes the table of scenarios with what came of each cell, for the report of a proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.faults.report import Outcome, came
from tests.providers.rows import ROWS, Cell, Row
from tests.providers.tills import TILLS, Till


def lines(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    held = sum(not outcome.trouble for outcome in outcomes.values())
    yield f"{held} of {len(outcomes)} cells ended as they must, in seconds from the hold to the audit."
    yield ""
    yield f"| scenario | {' | '.join(till.name for till in TILLS)} |"
    yield "|---|" + "---|" * len(TILLS)
    notes: list[str] = []
    for row in ROWS:
        yield f"| {row.name} | {' | '.join(_cell(row, till, outcomes, notes) for till in TILLS)} |"
    yield ""
    for number, note in enumerate(notes, 1):
        yield f"{number}. {note}"


def write(folder: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write the table as Markdown into the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "providers.md").write_text("\n".join(lines(outcomes)) + "\n")


def _cell(row: Row, till: Till, outcomes: Mapping[str, Outcome], notes: list[str]) -> str:
    why = row.not_at.get(till.name)
    if why is None:
        return came(outcomes.get(str(Cell(row, till))))
    if why not in notes:
        notes.append(why)
    return f"- ({notes.index(why) + 1})"
