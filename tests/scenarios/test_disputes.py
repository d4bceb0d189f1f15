"""A payment that the buyer's bank takes back is a difference until the dispute is won, or its refund is posted."""

from __future__ import annotations

from uuid import UUID, uuid4

from activities.payment.refunds import GiveBack
from domain.money import Money
from domain.payments import ProviderRefundState
from domain.reconciliation import DifferenceKind
from sandbox.testing import SandboxProcess
from tests.scenarios.reconciliation_harness import PRICE, ReconciliationHarness, step
from tests.scenarios.test_pruned_movements import OLD, _age, _resolve
from tests.scenarios.test_reconciliation import (
    at_stripe,
    databases,
    engine,
    fees,
    gateways,
    harness,
    one_day,
    sandbox,
    service_database,
    templates,
)

__all__ = ["databases", "engine", "gateways", "harness", "one_day", "sandbox", "service_database", "templates"]

DISPUTE = DifferenceKind.DISPUTE


async def disputed(harness: ReconciliationHarness, sandbox: SandboxProcess) -> tuple[UUID, str]:
    booking = await harness.sold()
    intent = str((await harness.attempt(booking)).intent_id)
    sandbox.call("POST", f"/_sandbox/intents/{intent}/dispute", {"outcome": "opened"})
    return booking, intent


@at_stripe
async def test_a_dispute_is_a_difference_until_it_is_won(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    booking, intent = await disputed(harness, sandbox)
    for _ in range(2):
        [found] = await harness.differences(booking)
        assert (found.kind, found.ours) == (DISPUTE, "captured 5000 EUR")
        assert found.theirs == f"{intent}: captured, captured 5000, refunded 0, disputed 5000 EUR"
    assert sorted(await fees(harness, booking)) == [
        ("provider_clearing", -2000), ("provider_clearing", -100), ("provider_fees", 100), ("provider_fees", 2000),
    ]  # fmt: skip

    sandbox.call("POST", f"/_sandbox/intents/{intent}/dispute", {"outcome": "won"})

    assert await harness.differ(booking) == []


@at_stripe
async def test_a_dispute_whose_refund_an_operator_resolves_is_no_difference(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    booking, _ = await disputed(harness, sandbox)
    order = GiveBack(refund_id=uuid4(), booking_id=booking, amount=PRICE.amount, number=1)
    refused = await step(harness.refunds.give_refund, order)
    assert (refused.state, refused.code) == (ProviderRefundState.FAILED, "charge_disputed")
    assert await harness.differ(booking) == [DISPUTE]

    await step(harness.refunds.note_by_hand, order)

    assert await harness.differ(booking) == []


@at_stripe
async def test_a_dispute_is_remembered_however_long_it_takes(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    booking, _ = await disputed(harness, sandbox)
    assert await harness.differ(booking) == [DISPUTE]
    await _resolve(harness)
    await _age(harness, OLD)
    await step(harness.steps.find_differences, harness.of_today)
    kept = await harness.rows("SELECT kind FROM provider_movements WHERE booking_id = :id", id=booking)
    assert "disputed" in [row.kind for row in kept]


@at_stripe
async def test_a_dispute_about_an_unknown_payment_is_shown_under_the_providers_reference(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    harness.price = Money(amount=4321, currency="EUR")
    intent = (await harness.taken_there(uuid4())).id
    sandbox.call("POST", f"/_sandbox/intents/{intent}/dispute", {"outcome": "opened"})
    await harness.reconciled()
    found = await harness.rows(
        "SELECT subject FROM reconciliation_differences WHERE kind = 'missing_here' AND theirs = 'disputed 4321 EUR'"
    )
    assert len(found) == 1
    assert found[0].subject.startswith("txn_")
