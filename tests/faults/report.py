"""Writes the table of faults with the result of each cell, for the report of `make prove`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from tests.faults.effects import Cell, Effect
from tests.faults.plan import Fault

log = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """The result of a cell.

    Attributes:
        ending: The booking's last status.
        trouble: The failure, or empty.
    """

    ending: str
    seconds: float
    trouble: str


async def outcome(cell: object, living_through: Awaitable[str]) -> Outcome:
    """Run a cell and return its ending or its failure, so that one failure hides no other."""
    started, ending, trouble = perf_counter(), "", ""
    try:
        ending = await living_through
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}"
    log.info("%s: %s in %.0f s", cell, trouble or ending, perf_counter() - started)
    return Outcome(ending, perf_counter() - started, trouble)


def write(folder: Path, name: str, effects: tuple[Effect, ...], outcomes: Mapping[Cell, Outcome]) -> None:
    """Write the table as Markdown into the folder."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text("\n".join(_lines(effects, outcomes)) + "\n")


def write_network(folder: Path, outcomes: Mapping[tuple[str, str], Outcome]) -> None:
    """Write the results of the network faults: (server, trouble)."""
    folder.mkdir(exist_ok=True)
    servers, troubles = (list(dict.fromkeys(each[part] for each in outcomes)) for part in (0, 1))
    lines = [f"| line to | {' | '.join(troubles)} |", "|---|" + "---|" * len(troubles)]
    for server in sorted(servers):
        row = [came(outcomes.get((server, trouble))) for trouble in troubles]
        lines.append(f"| {server} | {' | '.join(row)} |")
    (folder / "faults-network.md").write_text("\n".join(lines) + "\n")


def came(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not run"
    if outcome.trouble:
        return f"**{' '.join(outcome.trouble.split())[:80]}**"
    return f"{outcome.ending} {outcome.seconds:.1f}"


def _lines(effects: tuple[Effect, ...], outcomes: Mapping[Cell, Outcome]) -> Iterator[str]:
    held = sum(not outcome.trouble for outcome in outcomes.values())
    yield f"{held} of {len(outcomes)} cells ended as they must, in seconds from the hold to the audit."
    yield ""
    yield f"| effect | the buyer | {' | '.join(Fault)} |"
    yield "|---|---|" + "---|" * len(Fault)
    notes: list[str] = []
    for effect in effects:
        row = [_cell(effect, fault, outcomes.get(Cell(effect, fault)), notes) for fault in Fault]
        yield f"| {effect.name} | {effect.scenario.name} | {' | '.join(row)} |"
    yield ""
    for number, note in enumerate(notes, 1):
        yield f"{number}. {note}"


def _cell(effect: Effect, fault: Fault, outcome: Outcome | None, notes: list[str]) -> str:
    if why := effect.why_not(fault):
        if why not in notes:
            notes.append(why)
        return f"- ({notes.index(why) + 1})"
    return came(outcome)
