"""Seats that are as good as others: as many, in the same section (so at the same price), and together if those were."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

from domain.seats import SeatName

_A_ROW = 10  # how many seats to the side are as far away as one row to the front or back


def nearest_equal(wanted: Sequence[str], free: Collection[str]) -> tuple[str, ...] | None:
    """The nearest free seats, each run of neighbours replaced by a run of as many; None where there are not enough.

    Longer runs choose first. Each run gets its nearest seats, so the result is good but not always the best.
    """
    left = {SeatName.parse(name) for name in free}
    chosen: list[SeatName] = []
    for run in sorted(_runs(wanted), key=len, reverse=True):
        there = _nearest(run, left)
        if there is None:
            return None
        chosen += there
        left -= set(there)
    return tuple(str(seat) for seat in sorted(chosen))


def _runs(names: Sequence[str]) -> list[list[SeatName]]:
    """The seats as runs of neighbours in one row."""
    seats = sorted(SeatName.parse(name) for name in names)
    grouped = groupby(enumerate(seats), key=lambda each: (each[1].section, each[1].row, each[1].number - each[0]))
    return [[seat for _, seat in run] for _, run in grouped]


def _nearest(run: Sequence[SeatName], free: Collection[SeatName]) -> list[SeatName] | None:
    first = run[0]
    starts = [start for start in free if start.section == first.section]
    for start in sorted(starts, key=lambda seat: (_distance(first, seat), seat)):
        there = [SeatName(start.section, start.row, start.number + step) for step in range(len(run))]
        if all(seat in free for seat in there):
            return there
    return None


def _distance(one: SeatName, other: SeatName) -> int:
    return _A_ROW * abs(one.row - other.row) + abs(one.number - other.number)
