"""Fifteen seconds of chaos; `make chaos` runs longer."""

from __future__ import annotations

import os

import pytest

from config.settings import Settings
from stack import Stack
from tests.chaos.report import lines_of
from tests.chaos.run import run

SEED = int(os.environ.get("SEATWRIGHT_SEED", "20261123"))


@pytest.mark.disruptive
async def test_chaos_loses_nothing_and_every_answer_is_explained(stack: Stack, settings: Settings) -> None:
    result = await run(stack, settings, seed=SEED, seconds=15, rate=2)
    assert result.is_clean, "\n".join(lines_of(result, SEED))
