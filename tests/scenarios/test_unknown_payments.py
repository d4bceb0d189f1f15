"""Reconciliation finds a payment that no attempt has, whatever the booking has paid on other days."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text

from domain.reconciliation import DifferenceKind
from tests.scenarios.reconciliation_harness import ReconciliationHarness, step
from tests.scenarios.test_reconciliation import (
    AMOUNT,
    MISSING_HERE,
    STATE,
    at_stripe,
    databases,
    engine,
    everywhere,
    gateways,
    harness,
    one_day,
    sandbox,
    service_database,
    templates,
    with_a_list,
)

__all__ = ["databases", "engine", "gateways", "harness", "one_day", "sandbox", "service_database", "templates"]


async def found_today(harness: ReconciliationHarness, booking: UUID) -> list[DifferenceKind]:
    """What the comparison of today's lines finds, without fetching them again."""
    await step(harness.steps.find_differences, harness.of_today)
    rows = await harness.rows(
        "SELECT kind FROM reconciliation_differences WHERE subject = :id AND resolved_at IS NULL", id=str(booking)
    )
    return [DifferenceKind(row.kind) for row in rows]


async def lines(harness: ReconciliationHarness, booking: UUID) -> list[str]:
    await step(harness.steps.fetch_list, harness.of_today)
    found = await harness.rows("SELECT reference FROM provider_movements WHERE booking_id = :id", id=booking)
    return [row.reference for row in found]


async def backdate(harness: ReconciliationHarness, booking: UUID, references: list[str], *, ledger: bool) -> None:
    """Let the lines be two days old, and the postings as well."""
    async with harness.engine.begin() as connection:
        await connection.execute(
            text("UPDATE provider_movements SET day = day - 2 WHERE reference = ANY (:references)"),
            {"references": references},
        )
        if ledger:
            await connection.execute(text("SET LOCAL session_replication_role = replica"))  # it is append-only
            await connection.execute(
                text("UPDATE ledger_transactions SET booked_at = booked_at - interval '2 days' WHERE booking_id = :id"),
                {"id": booking},
            )


async def prune(harness: ReconciliationHarness, references: list[str]) -> None:
    await harness.rows("DELETE FROM provider_movements WHERE reference = ANY (:references)", references=references)


KNOWN = ["kept", "pruned", "posted today"]
"""What became of the lines of the payment that we know, or of its posting."""


@with_a_list
@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("unknown", ["taken", "reserved"])
async def test_a_payment_of_another_day_hides_no_unknown_one(
    harness: ReconciliationHarness, known: str, unknown: str
) -> None:
    booking = await harness.sold()
    own = await lines(harness, booking)
    await (harness.taken_there if unknown == "taken" else harness.reserved_there)(booking)
    await lines(harness, booking)
    await backdate(harness, booking, own, ledger=known != "posted today")
    if known == "pruned":
        await prune(harness, own)
    assert await found_today(harness, booking) == [MISSING_HERE]


@with_a_list
@pytest.mark.parametrize("known", KNOWN)
async def test_a_refund_days_after_its_payment_is_no_difference(harness: ReconciliationHarness, known: str) -> None:
    booking = await harness.sold()
    own = await lines(harness, booking)
    await backdate(harness, booking, own, ledger=known != "posted today")
    await harness.refunded(booking, 2000)
    await lines(harness, booking)
    await backdate(harness, booking, own, ledger=False)
    if known == "pruned":
        await prune(harness, own)
    assert await found_today(harness, booking) == []


@with_a_list
async def test_an_unknown_payment_shows_beside_another_difference(harness: ReconciliationHarness) -> None:
    booking = await harness.sold()
    await harness.given_back_there(booking, 1500)
    await harness.taken_there(booking)
    assert sorted(await harness.differ(booking)) == sorted([AMOUNT, MISSING_HERE])


@with_a_list
async def test_an_unknown_payment_that_is_given_back_is_resolved(harness: ReconciliationHarness) -> None:
    booking = await harness.sold()
    intent = await harness.taken_there(booking)
    assert await harness.differ(booking) == [MISSING_HERE]
    await harness.gateway.refund(intent.id, harness.price, key=f"{booking}:by-hand")
    assert await harness.differ(booking) == []


@at_stripe
async def test_an_unknown_payment_is_named_with_its_intent(harness: ReconciliationHarness) -> None:
    booking = await harness.sold()
    intent = await harness.taken_there(booking)
    [found] = await harness.differences(booking)
    assert f"of {intent.id})" in found.theirs
    assert str((await harness.attempt(booking)).intent_id) not in found.theirs


@at_stripe
async def test_two_differences_of_a_kind_about_a_booking_are_both_named(harness: ReconciliationHarness) -> None:
    booking = await harness.sold()
    await harness.exchanged(booking)
    paid = await harness.rows("SELECT intent_id FROM attempts WHERE booking_id = :id", id=booking)
    for each in paid:
        await harness.gateway.refund(each.intent_id, harness.price, key=f"{each.intent_id}:by-hand")
    [found] = await harness.differences(booking)
    assert all(each.intent_id in found.theirs for each in paid)


@everywhere
async def test_money_that_is_released_here_and_still_reserved_there_is_another_state(
    harness: ReconciliationHarness,
) -> None:
    booking = await harness.authorized()
    attempt = await harness.released_here(booking)
    assert await harness.differ(booking) == [STATE]
    await harness.gateway.void(str(attempt.intent_id), key=attempt.key("void"))
    assert await harness.differ(booking) == []


@with_a_list
async def test_money_that_is_released_days_later_and_is_still_reserved_there_is_found(
    harness: ReconciliationHarness,
) -> None:
    """The list of that later day does not have it."""
    booking = await harness.authorized()
    await backdate(harness, booking, await lines(harness, booking), ledger=True)
    await harness.released_here(booking)
    assert await found_today(harness, booking) == [STATE]
