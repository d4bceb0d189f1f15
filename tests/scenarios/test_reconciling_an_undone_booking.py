"""Money that goes back because a booking is undone is known to reconciliation, although no row of a refund has it."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError

from sandbox.testing import SandboxProcess
from tests.scenarios.reconciliation_harness import ReconciliationHarness
from tests.scenarios.test_reconciliation import (
    AMOUNT,
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


@at_stripe
async def test_a_pending_refund_of_a_booking_that_is_undone_is_no_difference(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    """Such a refund has no row; only what else goes back is a difference."""
    booking = await harness.sold()
    sandbox.fault("processing", str(booking), operation="refund")
    with pytest.raises(ApplicationError, match="pending"):
        await harness.undone(booking)
    assert await harness.differ(booking) == []
    [intent] = sandbox.intents(str(booking))
    [pending] = sandbox.call("GET", f"/_sandbox/intents/{intent['id']}/refunds")["refunds"]
    sandbox.call("POST", f"/_sandbox/refunds/{pending['id']}/settle", {"outcome": "failed"})
    await harness.given_back_there(booking, 2000)
    assert await harness.differ(booking) == [AMOUNT]
