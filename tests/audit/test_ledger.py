"""With each guard of the ledger broken, the audit names the booking with a wrong posting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from activities.reservation.bookings import Step
from tests.audit.harness import Harness, step

BALANCES = "every ledger transaction balances"
ATTEMPTS = "the ledger matches attempts and refunds"
PROVIDER = "the ledger matches the provider"


@asynccontextmanager
async def without(harness: Harness, trigger: str, table: str) -> AsyncIterator[None]:
    """The payment database with one guard switched off."""
    await harness.sql("payment", f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    try:
        yield
    finally:
        await harness.sql("payment", f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")


async def test_a_sale_is_booked_as_its_row_and_the_provider_have_it(harness: Harness) -> None:
    await harness.bought("A-1-1")
    assert await harness.finds() == set()


async def test_an_unbalanced_transaction_is_found_without_the_database_guard(harness: Harness) -> None:
    booking = await harness.bought("A-1-1")
    async with without(harness, "ledger_transactions_balance", "ledger_entries"):
        await harness.sql(
            "payment",
            "INSERT INTO ledger_entries SELECT id, 'provider_fees', 'EUR', 7 FROM ledger_transactions"
            " WHERE booking_id = :id AND kind = 'captured'",
            id=booking.id,
        )
    assert await harness.finds() == {(BALANCES, str(booking.id))}


async def test_money_that_was_moved_and_not_booked_is_found(harness: Harness) -> None:
    async with without(harness, "attempts_are_booked", "attempts"):
        booking = await harness.bought("A-1-1")
    assert await harness.finds() == {(ATTEMPTS, str(booking.id)), (PROVIDER, str(booking.id))}


async def test_money_that_is_booked_in_another_currency_is_found(harness: Harness) -> None:
    booking = await harness.bought("A-1-1")
    async with without(harness, "ledger_entries_are_append_only", "ledger_entries"):
        await harness.sql(
            "payment",
            "UPDATE ledger_entries SET currency = 'TRY'"
            " WHERE transaction_id IN (SELECT id FROM ledger_transactions WHERE booking_id = :id)",
            id=booking.id,
        )
    assert await harness.finds() == {(ATTEMPTS, str(booking.id)), (PROVIDER, str(booking.id))}


async def test_a_refund_that_was_given_and_not_booked_is_found(harness: Harness) -> None:
    booking = await harness.authorized("A-1-1")
    assert await step(harness.seats().commit, Step(booking=booking)) is None
    await step(harness.money().capture, booking.id)
    async with without(harness, "attempts_are_booked", "attempts"):
        await step(harness.money().return_money, booking.id)
    await harness.end(booking)
    assert await harness.finds() == {(ATTEMPTS, str(booking.id)), (PROVIDER, str(booking.id))}
