"""The deletion of old sessions and revocations goes on after an error, and ends with its process."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from api.auth import upkeep
from tests.waiting import eventually

OPENED: Any = SimpleNamespace(engines={"identity": object()})


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The database of each round; the first one fails."""
    done: list[object] = []

    async def delete_old(database: object) -> None:
        done.append(database)
        if len(done) == 1:
            raise ConnectionError("no route")

    monkeypatch.setattr(upkeep, "delete_old", delete_old)
    monkeypatch.setattr(upkeep, "EVERY", 0.01)
    return done


async def test_a_round_that_fails_is_followed_by_others_until_the_end(rounds: list[object]) -> None:
    async with upkeep.upkeep(OPENED):
        await eventually(lambda: len(rounds) > 2)
    before = len(rounds)
    await asyncio.sleep(0.1)
    assert len(rounds) == before


async def test_a_round_that_hangs_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch, rounds: list[object]) -> None:
    async def hang(database: object) -> None:
        rounds.append(database)
        await asyncio.Event().wait()

    monkeypatch.setattr(upkeep, "delete_old", hang)
    monkeypatch.setattr(upkeep, "_LONGEST", 0.01)
    async with upkeep.upkeep(OPENED):
        await eventually(lambda: len(rounds) > 2)


async def test_a_round_under_way_does_not_keep_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = asyncio.Event()

    async def deaf(_: object) -> None:
        try:
            await asyncio.sleep(4)
        except asyncio.CancelledError:
            await is_over.wait()
            raise

    monkeypatch.setattr(upkeep, "delete_old", deaf)
    async with upkeep.upkeep(OPENED):
        await asyncio.sleep(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    is_over.set()


async def test_a_process_without_the_database_of_identity_deletes_nothing(rounds: list[object]) -> None:
    async with upkeep.upkeep(SimpleNamespace(engines={})):  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
    assert rounds == []
