"""The time of a refusal does not reveal what was recorded before it."""

from __future__ import annotations

import asyncio

import pytest

from api.identity import even_time
from api.identity.even_time import STEP, next_step, until


@pytest.mark.parametrize("worked", [0.001, 0.97 * STEP, STEP, 2.5 * STEP])
async def test_an_entry_that_takes_less_than_a_step_does_not_move_the_answer(
    monkeypatch: pytest.MonkeyPatch, worked: float
) -> None:
    now = 1000.0

    async def passes(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(even_time, "monotonic", lambda: now)
    monkeypatch.setattr(asyncio, "sleep", passes)

    async def answered_after(recorded: float) -> float:
        started = now
        await passes(worked)
        answer_at = next_step(started) + STEP
        await passes(recorded)
        await until(answer_at)
        return round(now - started, 6)

    without = await answered_after(0)
    assert without > worked
    assert {await answered_after(recorded) for recorded in (0.004, 0.5 * STEP, 0.999 * STEP)} == {without}
