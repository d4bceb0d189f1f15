"""Lines of a provider's report go when their day is compared and no run may ask for them any more."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from temporalio.testing import ActivityEnvironment

from db.payment import report_lines
from domain.reconciliation import ReconcileDay
from tests.scale import sample
from tests.scenarios.reconciliation_harness import ReconciliationHarness, step, today
from tests.scenarios.test_reconciliation import (
    MISSING_HERE,
    at_stripe,
    databases,
    engine,
    gateways,
    harness,
    one_day,
    sandbox,
    service_database,
    templates,
)

__all__ = ["databases", "engine", "gateways", "harness", "one_day", "sandbox", "service_database", "templates"]

OLD = timedelta(days=29)


async def _age(harness: ReconciliationHarness, age: timedelta, *, compared: bool = True) -> None:
    """Let the lines of today's report be so old, and the comparison as well."""
    changes = ["UPDATE provider_movements SET kept_at = now() - CAST(:age AS interval) WHERE day = :day"]
    if compared:
        changes += ["UPDATE reconciled_days SET finished_at = now() - CAST(:age AS interval) WHERE day = :day"]
    async with harness.engine.begin() as connection:
        for change in changes:
            await connection.execute(text(change), {"age": age, "day": today()})


async def _resolve(harness: ReconciliationHarness) -> None:
    """Resolve all differences of today."""
    await harness.rows("UPDATE reconciliation_differences SET resolved_at = now() WHERE day = :day", day=today())


async def _lines(harness: ReconciliationHarness) -> int:
    return len(await harness.rows("SELECT reference FROM provider_movements WHERE day = :day", day=today()))


async def _compare_another_day(harness: ReconciliationHarness) -> None:
    day = today() - timedelta(days=1)
    await step(harness.steps.find_differences, ReconcileDay(provider=harness.provider, day=day))


LINES = [
    (timedelta(0), False, True),
    (timedelta(days=27), False, True),
    (OLD, False, False),
    (OLD, True, True),
]


@at_stripe
@pytest.mark.parametrize(("age", "is_open", "stays"), LINES)
@pytest.mark.parametrize("at_once", sample([1, 1000], 1, of="lines pruned at once"))
async def test_lines_of_a_report_go_when_no_run_and_no_operator_asks_for_them_any_more(
    harness: ReconciliationHarness,
    age: timedelta,
    is_open: bool,
    stays: bool,
    at_once: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("activities.payment.reconciliation._PRUNED_AT_ONCE", at_once)
    booking = uuid4()
    await harness.taken_there(booking)
    assert await harness.differ(booking) == [MISSING_HERE]
    before = await _lines(harness)
    await _age(harness, age)
    if not is_open:
        await _resolve(harness)
    for _ in range(2):
        await _compare_another_day(harness)
        assert await _lines(harness) == (before if stays else 0)
    open_ones = "SELECT kind FROM reconciliation_differences WHERE subject = :id AND resolved_at IS NULL"
    assert len(await harness.rows(open_ones, id=str(booking))) == is_open, "what was found is as it was"
    if stays:
        await step(harness.steps.find_differences, ReconcileDay(provider=harness.provider, day=today()))
        assert len(await harness.rows(open_ones, id=str(booking))) == 1, "and is found again from the kept lines"
    assert await harness.differ(booking) == [MISSING_HERE], "a day can be fetched and compared once more"


@at_stripe
async def test_lines_that_were_never_compared_stay(harness: ReconciliationHarness) -> None:
    booking = uuid4()
    await harness.taken_there(booking)
    await step(harness.steps.fetch_list, ReconcileDay(provider=harness.provider, day=today()))
    before = await _lines(harness)
    assert before
    await _age(harness, OLD, compared=False)
    await _compare_another_day(harness)
    assert await _lines(harness) == before


@at_stripe
async def test_a_day_that_is_fetched_again_keeps_its_lines_until_it_is_compared(harness: ReconciliationHarness) -> None:
    booking = uuid4()
    await harness.taken_there(booking)
    assert await harness.differ(booking) == [MISSING_HERE]
    await _age(harness, OLD)
    await _resolve(harness)
    await step(harness.steps.fetch_list, ReconcileDay(provider=harness.provider, day=today()))
    before = await _lines(harness)
    await _age(harness, OLD - timedelta(hours=1), compared=False)
    await _compare_another_day(harness)
    assert await _lines(harness) == before


@at_stripe
@pytest.mark.parametrize("error", [OperationalError("DELETE", {}, OSError()), TimeoutError()])
async def test_a_failed_deletion_of_old_lines_leaves_the_result_of_the_comparison(
    harness: ReconciliationHarness, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr("db.payment.report_lines.prune", fail)
    booking = uuid4()
    await harness.taken_there(booking)
    assert await harness.differ(booking) == [MISSING_HERE]


class _Death(BaseException):
    """Of the worker, which leaves its transaction open."""


@at_stripe
@pytest.mark.parametrize("done", [0, 1], ids=["before the first batch", "in the second batch"])
async def test_lines_that_a_run_left_when_its_worker_died_go_with_the_next_run(
    harness: ReconciliationHarness, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.payment.reconciliation._PRUNED_AT_ONCE", 1)
    bookings, batches, prune = (uuid4(), uuid4()), list[int](), report_lines.prune
    for booking in bookings:
        await harness.taken_there(booking)
    await harness.differ(*bookings)
    before = await _lines(harness)
    await _age(harness, OLD)
    await _resolve(harness)

    async def die(*arguments: Any) -> int:
        batches.append(await prune(*arguments))
        if len(batches) > done:
            raise _Death
        return batches[-1]

    with monkeypatch.context() as dying:
        dying.setattr(report_lines, "prune", die)
        with pytest.raises(_Death):
            await _compare_another_day(harness)
    assert (await _lines(harness), batches) == (before - done, [1] * (done + 1))
    assert len(await harness.rows(_COMPARED, day=today() - timedelta(days=1))) == 1, "the comparison itself is kept"
    await _compare_another_day(harness)
    assert await _lines(harness) == 0


_COMPARED = "SELECT day FROM reconciled_days WHERE day = :day AND finished_at IS NOT NULL"


@at_stripe
async def test_a_long_deletion_of_old_lines_heartbeats(
    harness: ReconciliationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats, counted = list[object](), list[int]()

    async def prune(*_: object) -> int:
        before = len(beats)
        await asyncio.sleep(0.5)
        counted.append(len(beats) - before)
        return 0

    monkeypatch.setattr("activities.heartbeats._INTERVAL", 0.05)
    monkeypatch.setattr("db.payment.report_lines.prune", prune)
    worker = ActivityEnvironment()
    worker.on_heartbeat = lambda *details: beats.append(details)
    await worker.run(harness.steps.find_differences, ReconcileDay(provider=harness.provider, day=today()))
    [during] = counted
    assert during > 1
