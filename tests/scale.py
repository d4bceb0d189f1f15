"""How much of a large table is run: all of it in `make prove`, and otherwise a sample that the seed chooses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from random import Random
from typing import TypeVar

Row = TypeVar("Row")

FULL = os.environ.get("SEATWRIGHT_SCALE") == "full"
SEED = os.environ.get("SEATWRIGHT_SEED", "20261123")


def sample(rows: Sequence[Row], count: int, *, of: str) -> Sequence[Row]:
    """All rows at full size, else `count` of them; `of` names the table, so that each has a choice of its own."""
    return rows if FULL else Random(f"{of} {SEED}").sample(rows, count)
