"""Lines of a provider's report go when their day is compared and no run may ask for them any more."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from domain.reconciliation import ReconcileDay
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


async def _lines(harness: ReconciliationHarness) -> int:
    return len(await harness.rows("SELECT reference FROM provider_movements WHERE day = :day", day=today()))


async def _compare_another_day(harness: ReconciliationHarness) -> None:
    day = today() - timedelta(days=1)
    await step(harness.steps.find_differences, ReconcileDay(provider=harness.provider, day=day))


@at_stripe
@pytest.mark.parametrize(("age", "stays"), [(timedelta(0), True), (timedelta(days=27), True), (OLD, False)])
async def test_lines_of_a_report_go_when_no_run_may_ask_for_them_any_more(
    harness: ReconciliationHarness, age: timedelta, stays: bool
) -> None:
    booking = uuid4()
    await harness.taken_there(booking)
    assert await harness.differ(booking) == [MISSING_HERE]
    before = await _lines(harness)
    await _age(harness, age)
    for _ in range(2):
        await _compare_another_day(harness)
        assert await _lines(harness) == (before if stays else 0)
    open_ones = "SELECT kind FROM reconciliation_differences WHERE subject = :id AND resolved_at IS NULL"
    assert len(await harness.rows(open_ones, id=str(booking))) == 1, "what was found stays open"
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
    await step(harness.steps.fetch_list, ReconcileDay(provider=harness.provider, day=today()))
    before = await _lines(harness)
    await _age(harness, OLD - timedelta(hours=1), compared=False)
    await _compare_another_day(harness)
    assert await _lines(harness) == before
