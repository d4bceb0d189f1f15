"""The figures of the table: median, spread and target."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        part: The subcommand that measured it.
        median: Median of all rounds; None if the figure is text only.
        spread: The lowest and the highest value of all rounds.
        words: Text instead of, or beside, the number.
        must: The target in words; empty if there is none.
    """

    part: str
    name: str
    unit: str = ""
    median: float | None = None
    spread: tuple[float, float] | None = None
    words: str = ""
    must: str = ""
    reached: bool | None = None


def measured(
    part: str,
    name: str,
    values: Sequence[float],
    unit: str = "",
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Figure:
    """A figure of several rounds; its median must reach the target."""
    median = statistics.median(values)
    spread = (min(values), max(values)) if len(values) > 1 else None
    if at_least is not None:
        return Figure(part, name, unit, median, spread, must=f"≥ {at_least:g}", reached=median >= at_least)
    if at_most is not None:
        return Figure(part, name, unit, median, spread, must=f"≤ {at_most:g}", reached=median <= at_most)
    return Figure(part, name, unit, median, spread)


def split_up(part: str, name: str, shares: Mapping[str, float], unit: str) -> Figure:
    """The parts of a sum, largest first."""
    largest_first = sorted(shares.items(), key=lambda share: -share[1])
    return Figure(part, name, unit, words=" · ".join(f"{share} {value:.1f}" for share, value in largest_first))
